"""Images are shown with the range that their levels have, and grids are as asked for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from tests.plots.zoo import COLOUR, IMAGE, KINDS, REAL_IMAGE, TABLE, data_of, vae
from unveil.models import Model
from unveil.plots import reconstructions, reconstructions_and_samples, samples
from unveil.plots.images import columns_for, row_contexts
from unveil.plots.mosaics import MISSING, Mosaic, Range, as_colours, assemble
from unveil.variables import Batch


def shown(figure: Figure) -> list[np.ndarray]:
    """The arrays of a figure's pictures."""
    return [np.asarray(image.get_array()) for ax in figure.axes for image in ax.get_images()]


def texts(figure: Figure) -> str:
    return " ".join(text.get_text() for text in [*figure.texts, *(text for ax in figure.axes for text in ax.texts)])


@pytest.fixture
def model() -> Model:
    return vae(IMAGE)()


def batch(kind: str) -> Batch:
    return KINDS[kind].data().train.batch(slice(0, 6))


def test_levels_go_from_black_to_white_whatever_the_batch_holds():
    assert Range.of(256, torch.full((2, 3, 2, 2), 7.0)) == Range(0.0, 255.0)
    pixels = as_colours(torch.tensor([0.0, 8.0, 16.0]).reshape(1, 1, 1, 3), Range.of(17, torch.zeros(1)))
    assert np.allclose(pixels[0, 0], [[0, 0, 0], [0.5, 0.5, 0.5], [1, 1, 1]])


def test_real_numbers_have_the_range_of_the_data_but_for_outliers():
    images = torch.linspace(-2, 2, 1001).reshape(1, 1, 7, 143)
    limits = Range.of(None, torch.cat([images.flatten(), torch.tensor([torch.inf])]))
    assert limits.low == pytest.approx(-1.98)
    assert limits.high == pytest.approx(1.98)
    flat = Range.of(None, torch.zeros(1, 1, 2, 2))
    assert flat.high > flat.low


def test_three_channels_are_colours_and_others_are_averaged():
    colours = torch.rand(2, 3, 4, 5)
    assert np.allclose(as_colours(colours, Range(0, 1)), colours.permute(0, 2, 3, 1))
    assert np.allclose(as_colours(torch.cat([colours, colours[:, :1]], 1), Range(0, 1)), colours.permute(0, 2, 3, 1))
    assert np.allclose(as_colours(colours[:, :2], Range(0, 1))[..., 1], colours[:, :2].mean(1))


def test_missing_and_infinite_entries_have_a_colour_of_their_own():
    images = torch.tensor([[[[0.0, torch.nan, 1.0]]]])
    pixels = as_colours(images, Range(0, 1), torch.tensor([True, True, False]))
    assert np.allclose(pixels[0, 0], [[0, 0, 0], MISSING, MISSING])


def test_pairs_stand_close_and_take_the_height_of_single_rows():
    tiles = np.zeros((8, 4, 6, 6, 3))
    (pairs, _), (single, _) = assemble(Mosaic("", "", tiles, paired=True)), assemble(Mosaic("", "", tiles))
    assert abs(len(pairs) - len(single)) <= 4
    white = np.flatnonzero(np.all(pairs == 1, axis=(1, 2)))
    gaps = [len(gap) for gap in np.split(white, np.flatnonzero(np.diff(white) > 1) + 1)]
    assert gaps[0::2] == [gaps[0]] * 4
    assert min(gaps[1::2]) > 3 * gaps[0]


def test_reconstructions_show_the_data_above_the_means(model):
    data = batch("binary images")
    (picture,) = shown(reconstructions(model, data))
    blocks = picture[:: len(picture) // 2][:1]
    assert set(np.unique(blocks)) <= {0.0, 1.0}, "binary data is black and white"
    lower = picture[-1, :3]
    assert np.all((lower > 0) & (lower < 1)), "means are grey"


def test_samples_are_as_many_as_asked_and_one_row_a_context(model):
    assert "means of p(x | z)" in texts(samples(model, 5))
    assert "draws from p(x | z)" in texts(samples(model, 5, draws=True))
    (drawn,) = shown(samples(model, 5, draws=True))
    assert set(np.unique(drawn)) == {0.0, 1.0}
    cvae = KINDS["a CVAE given classes"].model()
    (picture,) = shown(samples(cvae, 12, context=torch.eye(3)))
    (single,) = shown(samples(cvae, 1, context=torch.eye(3)[:1]))
    assert len(picture) > 3 * len(single)
    assert picture.shape[1] > 4 * single.shape[1]


def test_one_picture_with_both_says_what_each_is():
    figure = reconstructions_and_samples(vae(COLOUR)(), batch("colour images"), title="A title", note="a bound")
    assert len(shown(figure)) == 2
    for part in ("A title", "a bound", "Reconstructions", "Samples", "q(z | x)", "prior"):
        assert part in texts(figure)
    gsnn = reconstructions_and_samples(KINDS["a GSNN"].model(), batch("a GSNN"))
    assert "Predictions" in texts(gsnn)
    assert "q(z | x)" not in texts(gsnn)
    meanless = reconstructions_and_samples(KINDS["no mode, no mean"].model(), batch("no mode, no mean"))
    assert "mean" not in texts(meanless)
    exact = reconstructions_and_samples(KINDS["an exact density"].model(), batch("an exact density"))
    assert "Reconstructions " not in texts(exact).replace("Reconstructions and", "")
    for part in ("Data", "as observed", "Samples", "draws from the model"):
        assert part in texts(exact)


def test_wide_and_tall_images_fill_the_same_width():
    assert [columns_for(shape) for shape in ((1, 8, 8), (1, 8, 32), (1, 64, 8), (1, 1, 100))] == [8, 2, 16, 2]


def test_rows_of_samples_are_classes_in_order():
    contexts, labels = row_contexts(torch.eye(10)[[3, 1, 1, 7]])
    assert labels == ("1", "1", "1", "3", "3", "3", "7", "7")
    assert contexts.argmax(1).tolist() == [1, 1, 1, 3, 3, 3, 7, 7]
    assert len(row_contexts(torch.eye(10))[1]) == 10
    assert row_contexts(torch.randn(20, 4))[1] == ()
    assert row_contexts(None) == (None, ())


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: reconstructions(vae(TABLE)(), data_of(TABLE).train.batch(slice(0, 3))), "batch: expected images"),
        (lambda: reconstructions(KINDS["an exact density"].model(), batch("binary images")), "model: has no posterior"),
        (lambda: samples(vae(REAL_IMAGE)(), 0), "n: expected at least 1"),
        (lambda: samples(vae(TABLE)()), "model: expected one that generates images"),
        (lambda: samples(KINDS["a CVAE given classes"].model()), "context: the model is conditioned on"),
    ],
    ids=["no image", "no posterior", "none", "table", "no context"],
)
def test_what_can_not_be_drawn_is_refused_with_the_reason(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()
