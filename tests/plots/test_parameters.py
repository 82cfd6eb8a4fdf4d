"""Pictures of what models fitted by turns have found, and which model gets which."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from tests.plots.zoo import KINDS, SEQUENCE, TABLE, data_of
from unveil.data.context import AsGiven, OneHot
from unveil.data.format import Format
from unveil.data.support import Support
from unveil.inference import cavi, em
from unveil.models import (
    BayesianLinearRegression,
    CategoricalHMM,
    FactorAnalysis,
    GaussianHMM,
    GaussianMixture,
    LatentDirichletAllocation,
)
from unveil.plots import loadings, loadings_as_images, style, topics, weights
from unveil.plots.parameters import Shown, of_parameters
from unveil.variables import Batch, Variable

RUNNING = [
    "a mixture over one number", "latent classes", "a mixture of answers", "symbols", "factor analysis",
    "principal components of images", "topics", "a regression",
]  # fmt: skip
"""Kinds of models that can be asked something when all their parameters are NaN."""


def said(figure: Figure) -> str:
    return " ".join(text.get_text() for text in figure.texts)


def names_of(ax: object) -> list[str]:
    return [label.get_text() for label in ax.get_yticklabels()]


class TestLoadings:
    W, NOISE = torch.tensor([[3.0, 0.0], [0.0, -40.0], [0.0, 0.0]]), torch.tensor([16.0, 900.0, 1.0])

    def test_cells_are_correlations_and_bars_the_shares_of_variance(self):
        figure = loadings(self.W, self.NOISE, names=("a", "b", "c"))
        cells, bars, _ = figure.axes
        assert np.allclose(cells.images[0].get_array(), [[0.6, 0], [0, -0.8], [0, 0]])
        assert [text.get_text() for text in cells.texts] == ["0.60", "0.00", "0.00", "−0.80", "0.00", "0.00"]
        assert [bar.get_width() for bar in bars.patches] == pytest.approx([0.36, 0.64, 0])
        assert names_of(cells) == ["a", "b", "c"]
        assert [label.get_text() for label in cells.get_xticklabels()] == ["0\n12%", "1\n21%"]

    def test_zero_is_pale_and_both_sides_have_one_scale(self):
        image = loadings(self.W, self.NOISE).axes[0].images[0]
        assert image.norm(0.0) == 0.5
        assert (image.norm.vmin, image.norm.vmax) == (-1, 1)
        assert image.cmap(0.5)[:3] == pytest.approx((0.94, 0.94, 0.94), abs=0.01)

    def test_many_features_are_not_named_and_too_many_are_said(self):
        figure = loadings(torch.randn(300, 20), torch.ones(300))
        assert figure.axes[0].get_ylabel() == "feature"
        assert len(figure.axes[1].patches) == 300
        assert "more than dots" not in said(figure)
        assert "more than dots" in said(loadings(torch.randn(1500, 2), torch.ones(1500)))

    def test_one_factor_of_two_features_does_not_crowd(self):
        figure = loadings(torch.ones(2, 1), torch.ones(2))
        cells, bars, _ = figure.axes
        assert bars.get_position().x0 - cells.get_position().x0 > 1.8 / style.WIDTH  # the titles stand side by side

    def test_images_are_orange_below_and_blue_above_zero(self):
        factor = torch.tensor([[-2.0, 0.0], [2.0, 1.0]]).reshape(1, 1, 2, 2)
        figure = loadings_as_images(factor, torch.zeros(1, 2, 2))
        shown = figure.axes[1].images[0].get_array()
        (below, zero), (above, half) = (
            [shown[row, column] for column in (0, -1)] for row in (0, -1)
        )  # fmt: skip
        assert below[0] > below[2]
        assert above[2] > above[0]
        assert np.ptp(zero) < 0.01
        assert half[2] > half[0]
        assert "full colour: 2, " in said(figure)

    def test_factors_that_are_left_out_are_said(self):
        assert "The first 50 of 60 factors" in said(loadings_as_images(torch.randn(60, 3, 4, 4), torch.rand(3, 4, 4)))


class TestTopics:
    P = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]])
    SHARES = torch.tensor([0.25, 0.75])

    def test_the_largest_topic_and_its_likeliest_word_come_first(self):
        figure = topics(self.P, self.SHARES, names=("sea", "law", "star"))
        largest, other = figure.axes
        assert largest.texts[0].get_text() == "Topic 1: 75.0% of words"
        assert names_of(largest) == ["star", "law", "sea"]
        assert [bar.get_width() for bar in largest.patches] == pytest.approx([0.6, 0.3, 0.1])
        assert names_of(other) == ["sea", "law", "star"]
        assert largest.get_xlim() == other.get_xlim()

    def test_ticks_are_the_words_probabilities_in_all_topics(self):
        (marks,) = topics(self.P, self.SHARES).axes[1].lines
        assert np.allclose(marks.get_xdata(), self.SHARES @ self.P)

    def test_words_without_names_have_numbers_and_topics_left_out_are_said(self):
        p, shares = torch.rand(20, 500), torch.full((20,), 0.05)
        figure = topics(p / p.sum(-1, keepdim=True), shares)
        assert len(figure.axes) == 12
        assert names_of(figure.axes[0])[0] == f"word {p[0].argmax()}"
        assert "The 12 largest of 20 topics; they take 60.0% of all words." in said(figure)
        assert "the 8 likeliest of 500 words" in said(figure)

    def test_one_topic_is_enough(self):
        assert len(topics(torch.ones(1, 1), torch.ones(1)).axes) == 1


class TestWeights:
    def test_lines_reach_two_deviations(self):
        (ax,) = weights(torch.tensor([0.5, -0.1]), torch.tensor([0.1, 0.2]), names=("a", "b")).axes
        _, line, dot, other, _ = ax.lines
        assert list(line.get_xdata()) == pytest.approx([0.3, 0.7])
        assert list(dot.get_xdata()) == pytest.approx([0.5])
        assert list(other.get_xdata()) == pytest.approx([-0.5, 0.3])
        assert (line.get_color(), other.get_color()) == (style.BLUE, style.MUTED)  # the second may be 0
        assert names_of(ax) == ["a", "b"]

    def test_many_are_sorted_by_size_and_cut_off_and_it_is_said(self):
        means = torch.randn(200)
        figure = weights(means, torch.ones(200))
        order = means.abs().argsort(descending=True)[:30]
        assert names_of(figure.axes[0]) == [f"feature {index}" for index in order.tolist()]
        assert "The 30 largest of 200 weights." in said(figure)
        assert "Standardized" in said(figure)


def shown_of(model: object, data: object) -> Figure:
    """The one picture of a model's parameters."""
    found = of_parameters(model, Shown(data, data.train, "title", ""))
    drawn = [picture for picture in found.values() if not isinstance(picture, str)]
    assert len(drawn) == 1, found
    return drawn[0]()


class TestWiring:
    def test_a_model_without_such_parameters_is_told_why_for_each(self):
        kind = KINDS["a table"]
        found = of_parameters(kind.model(), Shown(kind.data(), kind.data().train, "title", ""))
        assert found["chain"] == "the model is no hidden Markov model"
        assert set(found) == {"components", "chain", "loadings", "topics", "weights"}
        assert all(isinstance(reason, str) for reason in found.values())

    def test_components_of_an_unknown_family_are_left_out(self):
        model = GaussianMixture(TABLE, components=2)
        model.family = torch.nn.Identity()
        found = of_parameters(model, Shown(data_of(TABLE), data_of(TABLE).train, "title", ""))
        assert found["components"] == "there is no picture of Identity components"

    @pytest.mark.parametrize("kind", RUNNING)
    def test_numbers_that_are_not_finite_are_drawn(self, kind, tmp_path):
        model, data = KINDS[kind].model(), KINDS[kind].data()
        for parameter in model.parameters():
            torch.nn.init.constant_(parameter, torch.nan)
        style.write(shown_of(model, data), tmp_path / "picture.png")

    def test_sequences_have_the_colours_of_the_states_that_the_model_finds(self):
        data, model = data_of(SEQUENCE, mask=True), GaussianHMM(SEQUENCE, states=3)
        em.fit(model, data.train.stored, progress=False, steps=5, starts=1)
        figure = shown_of(model, data)
        strips = [ax for ax in figure.axes if ax.images and ax.images[0].get_array().ndim == 3]
        path = model.encode(data.train.rows(torch.tensor([0, 6, 11])))
        palette = np.array([to_rgb(colour) for colour in style.palette(3)])
        assert strips
        for row, strip in enumerate(strips):
            colours = strip.images[0].get_array()[0]
            assert np.allclose(colours, palette[path[row, : len(colours)]])
        matrix = next(ax for ax in figure.axes if ax.get_title(loc="left") == "Next")
        assert np.allclose(matrix.images[0].get_array(), model.transition)

    def test_symbols_show_the_states_probabilities_of_them(self):
        x = Variable((9,), levels=4)
        model = CategoricalHMM(x, states=2)
        em.fit(model, data_of(x).train.stored, progress=False, steps=5, starts=1)
        figure = shown_of(model, data_of(x))
        shown = [np.asarray(ax.images[0].get_array()) for ax in figure.axes if ax.images]
        wanted = model.family.probabilities[:, 0].numpy()
        assert any(image.shape == wanted.shape and np.allclose(image, wanted) for image in shown)

    def test_densities_are_the_components_own(self):
        data, model = data_of(Variable((1,))), GaussianMixture(Variable((1,)), components=2)
        em.fit(model, data.train.stored, progress=False, steps=5, starts=1)
        (ax,) = shown_of(model, data).axes
        grid = torch.as_tensor(ax.lines[2].get_xdata())
        assert np.allclose(ax.lines[2].get_ydata(), model.log_prob(grid.unsqueeze(-1)).exp())

    def test_loadings_are_named_by_the_columns(self):
        data = replace(data_of(TABLE), columns=("a", "b", "c"))
        model = FactorAnalysis(TABLE, latent_dim=1)
        em.fit(model, data.train.stored, progress=False, steps=5)
        cells, bars, _ = shown_of(model, data).axes
        assert names_of(cells) == ["a", "b", "c"]
        explained = model.loading.square().sum(-1)
        assert [bar.get_width() for bar in bars.patches] == pytest.approx(
            (explained / (explained + model.noise)).tolist()
        )

    def test_topics_take_shares_of_the_words_of_the_data(self):
        x = torch.tensor([[8.0, 0.0], [0.0, 2.0]]).repeat(30, 1)
        model = LatentDirichletAllocation(Variable((2,), levels=9), topics=2)
        cavi.fit(model, x, progress=False, steps=30)
        data = replace(data_of(Variable((2,), levels=9)), columns=("sea", "law"))
        data = replace(data, train=type(data.train)(Batch(x=x)))
        first, second = shown_of(model, data).axes
        assert float(first.texts[0].get_text().split()[2].rstrip("%")) == pytest.approx(80, abs=2)
        assert names_of(first)[0] == "sea"
        assert names_of(second)[0] == "law"

    @pytest.mark.parametrize(
        ("encoding", "names"),
        [
            (AsGiven(3, ("age", "height", "weight")), ["age", "height", "weight"]),
            (OneHot(3, np.array(["cat", "dog", "eel"])), ["cat", "dog", "eel"]),
            (None, ["feature 0", "feature 1", "feature 2"]),
        ],
        ids=["columns", "classes", "nothing"],
    )
    def test_weights_are_those_per_deviation_and_have_the_names_of_the_context(self, encoding, names):
        data = data_of(Variable((1,)), TABLE)
        data = replace(data, format=Format((1,), Support(None, 1, ""), encoding=encoding))
        model = BayesianLinearRegression(Variable((1,)), TABLE)
        cavi.fit(model, data.train.stored, progress=False)
        (ax,) = shown_of(model, data).axes
        assert names_of(ax) == names
        batch = data.train.stored
        wanted = model.weights * batch.context.double().std(0, correction=0) / batch.x.double().std(correction=0)
        dots = [line.get_xdata()[0] for line in ax.lines if len(line.get_xdata()) == 1]
        assert dots == pytest.approx(wanted.tolist())

    def test_posterior_deviations_are_those_of_draws(self):
        data = data_of(Variable((1,)), TABLE)
        model = BayesianLinearRegression(Variable((1,)), TABLE)
        cavi.fit(model, data.train.stored, progress=False)
        (ax,) = shown_of(model, data).axes
        reach = [np.ptp(line.get_xdata()) / 4 for line in ax.lines if np.ptp(line.get_xdata()) > 0][:3]
        shape, rate = model.noise.detach()
        generator = torch.Generator().manual_seed(0)
        t = torch.distributions.Gamma(shape, rate).sample((200_000,))
        noise = torch.randn(200_000, 4, dtype=torch.double, generator=generator)
        draws = torch.linalg.solve_triangular(model.root.detach().mT, noise.mT, upper=True).mT / t.sqrt().unsqueeze(-1)
        assert reach == pytest.approx(draws.std(0)[:3].tolist(), rel=0.03)
