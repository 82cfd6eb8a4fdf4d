"""Latent spaces, tables, rates and training curves show the numbers that they are given."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

import unveil as uv
from tests.plots.zoo import COUNTS, KINDS, ROWS, TABLE, data_of, vae
from unveil.data import Split
from unveil.plots import latent_space, marginals, pairs, rates, style, training_curve
from unveil.plots.latents import Codes, project
from unveil.plots.tables import Feature, compare
from unveil.variables import Batch


def words(figure: Figure) -> str:
    made = [text.get_text() for ax in figure.axes for text in [*ax.texts, ax.xaxis.label, ax.yaxis.label]]
    return " ".join([*made, *(text.get_text() for text in figure.texts)])


def dots(figure: Figure) -> np.ndarray:
    return np.concatenate([np.asarray(made.get_offsets()) for ax in figure.axes for made in ax.collections])


def evaluated(kind: str) -> uv.evaluation.Evaluation:
    return uv.evaluate(KINDS[kind].model(), KINDS[kind].data().train, particles=2)


class TestLatentSpace:
    def test_two_dimensions_are_shown_as_they_are(self):
        model, data = vae(TABLE, latent_dim=2)(), data_of(TABLE)
        figure = latent_space(model, data.train)
        assert np.allclose(dots(figure), model.encode(data.train.batch(slice(None))))
        assert "dimension 0" in words(figure)

    def test_two_active_dimensions_of_many_are_chosen_before_principal_components(self):
        codes = np.random.default_rng(0).normal(size=(50, 4)) * [0.01, 1, 0.05, 2]
        points, names = project(Codes("z", codes))
        assert np.array_equal(points, codes[:, [1, 3]])
        assert names == ("dimension 1", "dimension 3")

    def test_more_dimensions_are_shown_by_the_directions_of_most_variance(self):
        codes = np.random.default_rng(0).normal(size=(4000, 3)) * [1, 3, 2]
        points, names = project(Codes("z", codes))
        assert np.allclose(points.std(0), [3, 2], rtol=0.05)
        assert "component 1 (64%)" in names[0]

    def test_classes_have_a_colour_and_a_key_each(self):
        model, data = vae(TABLE, latent_dim=2)(), data_of(TABLE)
        labels = torch.arange(ROWS) % 3
        figure = latent_space(model, data.train, labels=labels)
        colours = figure.axes[0].collections[0].get_facecolors()[:, :3]
        points = np.asarray(figure.axes[0].collections[0].get_offsets())
        codes = model.encode(data.train.batch(slice(None))).numpy()
        owner = [int(np.abs(codes - point).sum(1).argmin()) for point in points]
        wanted = [to_rgba(style.CLASSES[int(labels[row])])[:3] for row in owner]
        assert np.allclose(colours, wanted)
        assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["0", "1", "2"]

    def test_many_classes_have_as_many_colours(self):
        assert len(set(style.palette(10))) == 10
        assert len(set(style.palette(37))) == 37

    def test_discrete_variables_show_how_many_of_their_values_are_used(self):
        figure = latent_space(KINDS["discrete latents"].model(), KINDS["discrete latents"].data().train)
        assert len(figure.axes) == 3
        assert words(figure).count("of 6 used, perplexity") == 3
        for ax in figure.axes:
            assert sum(bar.get_height() for bar in ax.patches) == pytest.approx(1)

    def test_a_model_without_a_posterior_is_refused(self):
        with pytest.raises(ValueError, match="model: expected a latent variable with a posterior"):
            latent_space(KINDS["a GSNN"].model(), KINDS["a GSNN"].data().train)


class TestTables:
    def test_histograms_count_every_row_once(self):
        figure = marginals(vae(COUNTS)(), data_of(COUNTS).train, names=tuple("abcde"))
        assert [ax.get_title(loc="left") for ax in figure.axes] == list("abcde")
        for ax in figure.axes:
            assert ax.get_xlim() == (-0.5, 11.5)
            outline = ax.patches[0].get_path().vertices
            assert np.abs(np.trapezoid(outline[:, 1], outline[:, 0])) == pytest.approx(1)

    def test_features_of_wide_tables_are_evenly_spaced_and_said_to_be(self):
        wide = uv.Variable((60,))
        features, total = compare(vae(wide)(), data_of(wide).train, (), 4)
        assert total == 60
        assert [feature.name for feature in features] == ["feature 0", "feature 20", "feature 39", "feature 59"]
        assert "16 of 60 features" in words(marginals(vae(wide)(), data_of(wide).train))

    def test_samples_are_drawn_for_the_contexts_of_the_data(self):
        kind = KINDS["a CVAE given a number"]
        features, _ = compare(kind.model(), kind.data().train, (), 3)
        assert len(features[0].data) == ROWS
        assert len(features[0].samples) % ROWS == 0
        assert len(features[0].samples) >= 1000

    def test_bins_are_whole_numbers_of_levels_and_leave_outliers_out(self):
        assert np.array_equal(Feature("", np.zeros(3), np.zeros(3), 4).bins, [-0.5, 0.5, 1.5, 2.5, 3.5])
        assert np.unique(np.diff(Feature("", np.zeros(3), np.zeros(3), 256).bins)) == 7
        spread = Feature("", np.append(np.random.default_rng(0).normal(size=5000), 1e6), np.zeros(3), None)
        assert spread.limits[1] < 10

    def test_pairs_have_as_many_dots_of_data_as_of_samples(self):
        figure = pairs(vae(TABLE)(), data_of(TABLE).train)
        assert len(figure.axes) == 6
        colours = figure.axes[1].collections[0].get_facecolors()
        assert len(colours) == 2 * ROWS
        assert len(np.unique(colours, axis=0, return_counts=True)[1]) == 2

    def test_what_can_not_be_compared_is_refused(self):
        with pytest.raises(ValueError, match="split: expected an observed variable that is no image"):
            marginals(KINDS["binary images"].model(), KINDS["binary images"].data().train)
        with pytest.raises(ValueError, match="split: expected at least two features"):
            pairs(KINDS["one number"].model(), KINDS["one number"].data().train)
        with pytest.raises(ValueError, match="split: expected an observed variable"):
            marginals(KINDS["a log density"].model(), Split(Batch(size=3)))


class TestRates:
    def test_bars_are_the_divergences_in_falling_order(self):
        evaluation = evaluated("a table")
        heights = [bar.get_height() for bar in rates(evaluation).axes[0].patches]
        assert np.allclose(heights, evaluation.kl_per_dim["z"].sort(descending=True).values)

    def test_dimensions_that_cost_nothing_are_pale(self):
        evaluation = evaluated("a table")
        evaluation.kl_per_dim["z"][:2] = 0.001
        bars = rates(evaluation).axes[0].patches
        assert [bar.get_facecolor() == to_rgba(style.FAINT) for bar in bars] == [False, False, True, True]

    def test_the_rate_is_laid_out_as_the_two_parts_that_make_it(self):
        evaluation = evaluated("a table")
        figure = rates(evaluation)
        rate, information, marginal = figure.axes[-1].patches
        assert rate.get_width() == pytest.approx(evaluation.rate.value)
        assert information.get_width() == pytest.approx(evaluation.mutual_information.value)
        assert marginal.get_x() == pytest.approx(evaluation.mutual_information.value)
        assert evaluation.collapse[1:40] in words(figure).replace("\n", " ")

    def test_where_no_divergence_splits_each_variable_has_a_bar(self):
        figure = rates(evaluated("a mixture prior, full covariance"))
        assert "mutual information" in words(figure)
        chain = rates(evaluated("a long chain"))
        assert len(chain.axes[0].patches) == 9
        levels = evaluated("two levels")
        assert [bar.get_height() for bar in rates(levels).axes[0].patches] == list(levels.rate_per_latent.values())

    def test_a_model_without_latents_is_refused(self):
        with pytest.raises(ValueError, match="latent"):
            rates(evaluated("an exact density"))


class TestTrainingCurve:
    METRICS = tuple({"epoch": e, "objective": -9.0 / e, "validation": -abs(e - 5.0), "rate": 1.0} for e in range(1, 9))

    def test_curves_are_the_records_and_the_best_epoch_is_marked(self):
        figure = training_curve(self.METRICS)
        objective, validation, best = figure.axes[0].lines
        assert np.allclose(objective.get_ydata(), [-9 / e for e in range(1, 9)])
        assert validation.get_label() == "validation bound"
        assert best.get_xdata() == [5]
        assert best.get_label().replace("-0.00", "0.00") == "best 0.00, epoch 5"

    def test_early_epochs_do_not_flatten_the_rest(self):
        metrics = [{"epoch": e, "objective": -1e6 if e == 1 else -1.0 - 1 / e} for e in range(1, 40)]
        low, high = training_curve(metrics).axes[0].get_ylim()
        assert -3 < low < high < 0

    def test_records_without_validation_or_with_infinite_values_are_drawn(self, tmp_path):
        for metrics in ([{"epoch": 1, "objective": 1.0}], [{"epoch": 1, "objective": float("-inf"), "rate": 2.0}]):
            style.write(training_curve(metrics), tmp_path / "training.png")

    def test_no_record_is_refused(self):
        with pytest.raises(ValueError, match="metrics: expected at least one record"):
            training_curve([])


def test_long_titles_and_notes_stay_inside_the_figure():
    figure = training_curve([{"epoch": 1, "objective": 1.0}], title="very long " * 30, note="a sentence of words " * 20)
    title, note = figure.texts
    assert len(title.get_text()) <= style.TITLE
    assert max(map(len, note.get_text().split("\n"))) <= style.LINE
