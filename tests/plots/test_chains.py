"""Pictures of hidden Markov models show the states that the model finds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from torch import Tensor

from unveil.plots import chain, style

INITIAL = torch.tensor([0.9, 0.1])
TRANSITION = torch.tensor([[0.75, 0.25], [0.5, 0.5]])
OCCUPANCY = torch.tensor([2 / 3, 1 / 3])
PALETTE = np.array([to_rgb(colour) for colour in style.palette(2)])


def said(figure: Figure) -> str:
    return " ".join(text.get_text() for text in figure.texts)


def drawn(x: Tensor, path: Tensor, **options: object) -> Figure:
    return chain(INITIAL, TRANSITION, OCCUPANCY, x, path, **options)


def parts(figure: Figure) -> tuple[list, list]:
    """The axes of the sequences, and of the strips below them."""
    of_sequences = [ax for ax in figure.axes if ax.get_ylabel()]
    strips = [ax for ax in figure.axes if ax.images and ax.images[0].get_array().ndim == 3]
    return of_sequences, strips


def test_rows_of_the_matrix_are_the_states_before():
    figure = drawn(torch.randn(1, 5, 1), torch.zeros(1, 5, dtype=torch.long))
    first, matrix = (ax for ax in figure.axes if ax.get_title(loc="left") in ("First", "Next"))
    assert np.allclose(first.images[0].get_array()[:, 0], INITIAL)
    assert np.allclose(matrix.images[0].get_array(), TRANSITION)
    assert [text.get_text() for text in matrix.texts] == ["0.75", "0.25", "0.50", "0.50"]
    assert [label.get_text() for label in first.get_yticklabels()] == ["state 0", "state 1"]


def test_bars_say_how_often_states_are_in_their_colours():
    figure = drawn(torch.randn(1, 5, 1), torch.zeros(1, 5, dtype=torch.long))
    (ax,) = (ax for ax in figure.axes if ax.get_title(loc="left") == "Share of steps")
    assert [bar.get_width() for bar in ax.patches] == pytest.approx(OCCUPANCY.tolist())
    assert np.allclose([bar.get_facecolor()[:3] for bar in ax.patches], PALETTE)
    assert [text.get_text() for text in ax.texts] == ["67%", "33%"]


def test_what_was_observed_has_the_colour_of_its_state():
    x, path = torch.randn(2, 6, 1), torch.tensor([[0, 0, 1, 1, 0, 1], [1, 1, 1, 0, 0, 0]])
    sequences, strips = parts(drawn(x, path))
    for row, (ax, strip) in enumerate(zip(sequences, strips, strict=True)):
        lines, dots = ax.collections
        assert np.allclose(dots.get_offsets()[:, 1], x[row, :, 0])
        assert np.allclose(dots.get_facecolors()[:, :3], PALETTE[path[row]])
        assert np.allclose(lines.get_colors()[:, :3], PALETTE[path[row, 1:]])
        assert np.allclose(strip.images[0].get_array()[0], PALETTE[path[row]])


def test_a_sequence_ends_where_nothing_was_observed_any_more():
    x, path = torch.randn(3, 6, 2), torch.zeros(3, 6, dtype=torch.long)
    x[0, 2:], x[1, 3], x[2] = torch.nan, torch.nan, torch.nan
    sequences, strips = parts(drawn(x, path, name="height"))
    assert [strip.images[0].get_array().shape[1] for strip in strips] == [2, 6]  # of the last nothing is shown
    assert [len(ax.collections[1].get_offsets()) for ax in sequences] == [2, 6, 0]
    assert np.isnan(np.ma.filled(sequences[1].collections[1].get_offsets(), np.nan)[3, 1])
    assert sequences[0].get_ylabel() == "height"


def test_numbers_between_two_gaps_are_seen_in_long_sequences_too():
    x = torch.full((1, 200, 1), torch.nan)
    x[0, 1::2] = 1.0
    ((ax,), _) = parts(drawn(x, torch.zeros(1, 200, dtype=torch.long)))
    assert np.isfinite(np.ma.filled(ax.collections[-1].get_offsets(), np.nan)[:, 1]).sum() == 100


def test_long_sequences_and_many_features_are_cut_and_said_so():
    figure = drawn(torch.randn(5, 10000, 4), torch.zeros(5, 10000, dtype=torch.long))
    sequences, strips = parts(figure)
    assert len(sequences) == 3
    assert strips[0].images[0].get_array().shape[1] == 300
    assert "the first 300 of 10,000 steps, the first of 4 features" in said(figure)


def test_symbols_are_dots_and_several_whole_numbers_are_shades():
    path = torch.zeros(1, 5, dtype=torch.long)
    symbols = torch.tensor([0.0, 2.0, 1.0, 3.0, 0.0]).reshape(1, 5, 1)
    (ax,), _ = parts(drawn(symbols, path, levels=4))
    assert len(ax.collections) == 1  # no lines
    assert np.allclose(ax.collections[0].get_offsets()[:, 1], symbols[0, :, 0])
    several = torch.randint(4, (1, 5, 3)).double()
    figure = drawn(several, path, levels=4)
    (ax,), _ = parts(figure)
    assert np.allclose(ax.images[0].get_array(), several[0].mT)
    assert "white is level 0, the darkest is 3" in said(figure)


def test_one_state_and_many_states_are_drawn():
    path = torch.zeros(1, 4, dtype=torch.long)
    assert chain(torch.ones(1), torch.ones(1, 1), torch.ones(1), torch.randn(1, 4, 1), path).axes
    many = torch.full((40,), 1 / 40)
    figure = chain(many, many.expand(40, 40), many, torch.randn(1, 4, 1), path)
    (matrix,) = (ax for ax in figure.axes if ax.get_title(loc="left") == "Next")
    assert not matrix.texts  # numbers would not fit
    assert all(ax.get_position().x1 <= 1 for ax in figure.axes)
