"""Images side by side as one array, and sheets of such arrays."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import sqrt
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from unveil.plots import style

MISSING = (0.55, 0.66, 0.80)
"""The colour of entries that were not observed."""
TILE = 96  # dots that the longer side of a small image is enlarged to, by repeating pixels
LARGEST_TILE, MARGIN, BETWEEN = 1.1, 0.3, 0.45  # inches

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Mosaic:
    """Images in rows and columns.

    Args:
        title: What the images are.
        note: How they were made.
        tiles: (rows, columns, height, width, 3), in [0, 1].
        paired: Whether each two rows belong together.
        labels: What each row is called, if anything.
    """

    title: str
    note: str
    tiles: Array
    paired: bool = False
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Range:
    """The values that are shown as black and as full light.

    Args:
        low: Black.
        high: White, or the full colour.
    """

    low: float
    high: float

    @classmethod
    def of(cls, levels: int | None, images: Tensor) -> Range:
        """0 to L - 1 for levels; for real numbers, what all but a hundredth of the entries lie in."""
        if levels is not None:
            return cls(0.0, float(levels - 1))
        entries = images[torch.isfinite(images)].double().cpu().numpy()
        low, high = np.quantile(entries, (0.005, 0.995)) if len(entries) else (0.0, 1.0)
        return cls(float(low), float(high) if high > low else float(low) + 1.0)


def as_colours(images: Tensor, limits: Range, mask: Tensor | None = None) -> Array:
    """Images (..., C, H, W) as colours (..., H, W, 3): three channels are red, green, blue, others are averaged.

    Args:
        images: Any numbers; what is not finite is shown as missing.
        limits: The values shown as black and as full light.
        mask: True where an entry was observed, broadcastable.
    """
    values = ((images.double() - limits.low) / (limits.high - limits.low)).clamp(0, 1)
    seen = torch.isfinite(values) if mask is None else torch.isfinite(values) & mask.to(torch.bool).cpu()
    if values.shape[-3] == 4:  # colours and their opacity
        values, seen = values[..., :3, :, :], seen[..., :3, :, :]
    elif values.shape[-3] != 3:
        values = values.mean(-3, keepdim=True).expand(*values.shape[:-3], 3, *values.shape[-2:])
    seen = seen.all(-3, keepdim=True).movedim(-3, -1)
    return torch.where(seen, values.movedim(-3, -1), torch.tensor(MISSING, dtype=torch.float64)).numpy()


def assemble(mosaic: Mosaic) -> tuple[Array, list[float]]:
    """One array of all images with white between them, and the vertical middle of each row in it."""
    rows, columns, height, width, _ = mosaic.tiles.shape
    scale = max(1, round(TILE / max(height, width)))
    tiles = mosaic.tiles.repeat(scale, axis=2).repeat(scale, axis=3)
    height, width = height * scale, width * scale
    gap = max(3, round(0.06 * max(height, width)))
    tops = np.cumsum([0, *(height + between for between in _row_gaps(rows, gap, paired=mosaic.paired))])
    canvas = np.ones((int(tops[-1]) + height, columns * (width + gap) - gap, 3))
    for row, top in enumerate(tops):
        for column in range(columns):
            left = column * (width + gap)
            canvas[top : top + height, left : left + width] = tiles[row, column]
    return canvas, [float(top) + height / 2 for top in tops]


def _row_gaps(rows: int, gap: int, *, paired: bool) -> list[int]:
    """The white below each row but the last: narrow inside pairs, wide between them, as much in all."""
    if not paired or rows < 4:
        return [gap] * (rows - 1)
    inside = gap // 3
    between = round(((rows - 1) * gap - rows // 2 * inside) / (rows // 2 - 1))
    return [inside if row % 2 == 0 else between for row in range(rows - 1)]


def sheet(title: str, note: str, mosaics: list[Mosaic]) -> Figure:
    """Mosaics side by side, at one scale; a single one needs no title of its own."""
    if len(mosaics) == 1:
        title, mosaics = title or mosaics[0].title, [replace(mosaics[0], title="")]
    left = MARGIN + (0.16 if mosaics[0].labels else 0.0)
    names = 0.5 if len(mosaics) > 1 else 0.28 if mosaics[0].note else 0.05
    arrays = [assemble(mosaic) for mosaic in mosaics]
    free = style.WIDTH - left - MARGIN - BETWEEN * (len(mosaics) - 1)
    scale = free / sum(array.shape[1] for array, _ in arrays)
    largest = max(
        sqrt(array.size / 3 / (mosaic.tiles.shape[0] * mosaic.tiles.shape[1]))
        for (array, _), mosaic in zip(arrays, mosaics, strict=True)
    )
    scale = min(scale, LARGEST_TILE / largest)
    top = style.header(note) + names
    figure = style.canvas(top + scale * max(array.shape[0] for array, _ in arrays) + MARGIN, title, note)
    for mosaic, (array, middles) in zip(mosaics, arrays, strict=True):
        wide, high = scale * array.shape[1], scale * array.shape[0]
        _panel(figure, (left, top, wide, high), mosaic, array, middles)
        left += wide + BETWEEN
    return figure


def _panel(figure: Figure, inches: style.Rectangle, mosaic: Mosaic, array: Array, middles: list[float]) -> None:
    ax = style.axes(figure, inches)
    ax.set_axis_off()
    ax.imshow(array, interpolation="antialiased", aspect="auto")
    above = 1 + 0.09 / inches[3]
    ax.text(0, above + 0.2 / inches[3], mosaic.title, transform=ax.transAxes, fontsize=style.MEDIUM, color=style.INK)
    ax.text(0, above, mosaic.note, transform=ax.transAxes, fontsize=style.SMALL, color=style.MUTED)
    names: dict[str, Any] = {"fontsize": style.SMALL, "color": style.MUTED, "ha": "right", "va": "center"}
    for label, middle in zip(mosaic.labels, middles, strict=False):
        ax.text(-0.012 * array.shape[1], middle, label, **names)
