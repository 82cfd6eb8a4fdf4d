"""Where examples lie in the latent space, and which codes are in use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from torch import Tensor
from torch import distributions as td

from unveil import distributions as ud
from unveil.data import Split
from unveil.evaluation.latents import ACTIVE
from unveil.models import FromPosterior, Mode, Model, Source, Term
from unveil.plots import style
from unveil.plots.anatomy import classes_of, collect, examine, seeded, spread_rows, value_of
from unveil.variables import Batch

MOST_PANELS = 3
MOST_POINTS = 3000

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Codes:
    """The codes of many examples for one latent variable.

    Args:
        name: The variable's.
        values: (N, d): numbers, or the integers of d discrete variables.
        levels: How many values a discrete variable has; None for real numbers.
    """

    name: str
    values: Array
    levels: int | None = None


@dataclass(frozen=True)
class Colours:
    """What points are coloured by.

    Args:
        classes: The class of each example, (N,), if there are classes.
        numbers: A number for each example, (N,), if there are numbers.
    """

    classes: Array | None = None
    numbers: Array | None = None


def latent_space(
    model: Model, split: Split, *, labels: Tensor | None = None, title: str = "Latent space", note: str = ""
) -> Figure:
    """The codes of a split's examples: a panel for each of the first latent variables that have a posterior.

    Two dimensions (or the only two active ones) are shown as they are, more by their first two principal components,
    one as a histogram; of discrete variables, how often each code is used. Where nothing is observed, draws from q.

    Args:
        model: What encodes.
        split: What is encoded; at most 3,000 rows of it.
        labels: Whole numbers, one for each row of the split, to colour by; the context by default.
        title: The figure's title.
        note: A line below it.

    Raises:
        ValueError: If no latent variable has a posterior.
    """
    batch = spread_rows(split, MOST_POINTS)
    found = examine(model, batch)
    if not found.inferred:
        raise ValueError("model: expected a latent variable with a posterior, got none")
    names = found.inferred[:MOST_PANELS]
    deterministic = bool(found.images or found.vectors)
    codes = encode(model, batch, names, Mode() if deterministic else FromPosterior(generator=seeded(model)))
    left_out = len(found.inferred) - len(names)
    note = "\n".join(filter(None, [note, f"{left_out} more latent variables are not shown" if left_out else ""]))
    chosen = None if labels is None or batch.index is None else labels[batch.index.to(labels.device)]
    return _draw(codes, colours_of(batch.context, chosen), title, note)


def encode(model: Model, batch: Batch, names: tuple[str, ...], source: Source) -> list[Codes]:
    """The codes of all examples for these variables; draws from q where q has no mode."""
    levels: dict[str, int | None] = {}

    def keep(term: Term) -> Tensor | None:
        if term.name not in names:
            return None
        levels[term.name], values = discrete(term)
        return values

    try:
        values = collect(model, batch, source, keep)
    except NotImplementedError:  # torch's protocol: a distribution without a mode
        values = collect(model, batch, FromPosterior(generator=seeded(model)), keep)
    return [Codes(name, values[name][0].reshape(len(batch), -1).double().numpy(), levels[name]) for name in names]


def discrete(term: Term) -> tuple[int | None, Tensor]:
    """The number of values of a latent variable if it is discrete, and the values: integers if it is."""
    q, value = term.q, value_of(term)
    if value is None:
        raise ValueError(f"{term.name}: expected a latent variable with a value, got none")
    if term.code is not None and isinstance(q, ud.Coded):
        return len(q.codebook), term.code
    if isinstance(q, ud.OneHotCategorical | td.OneHotCategorical):
        return value.shape[-1], value.argmax(-1)
    if isinstance(q, ud.Categorical | td.Categorical):
        return q.logits.shape[-1], value
    return None, value


def colours_of(context: Tensor | None, labels: Tensor | None) -> Colours:
    """Classes where the context is one-hot, numbers where it is one number a row, nothing otherwise."""
    if labels is not None:
        return Colours(classes=labels.cpu().numpy())
    if (classes := classes_of(context)) is not None:
        return Colours(classes=classes.numpy())
    if context is not None and context[0].numel() == 1:
        return Colours(numbers=context.flatten().double().cpu().numpy())
    return Colours()


def _draw(codes: list[Codes], colours: Colours, title: str, note: str) -> Figure:
    margin, between, beside = 0.8, 0.85, 0.9 if colours.classes is not None or colours.numbers is not None else 0.3
    clouds = any(code.levels is None and code.values.shape[1] > 1 for code in codes)
    wide = (style.WIDTH - margin - beside - between * (len(codes) - 1)) / len(codes)
    high = float(np.clip(wide, 2.4, 4.6)) if clouds else 2.6
    top = style.header(note) + (0.2 if len(codes) == 1 and clouds else 0.6)
    figure = style.canvas(top + high + 0.65, title, note)
    for place, code in enumerate(codes):
        ax = style.axes(figure, (margin + place * (wide + between), top, wide, high))
        if len(codes) > 1:
            ax.set_title(code.name, loc="left", fontsize=style.MEDIUM, color=style.INK, pad=22)
        painter = _usage if code.levels is not None else _histogram if code.values.shape[1] == 1 else _scatter
        painter(ax, code, colours)
    coloured = [ax for ax in figure.axes if ax.get_legend_handles_labels()[0]]
    if coloured:
        style.legend(coloured[-1], loc="upper left", bbox_to_anchor=(1.0, 1.0), markerscale=2.2, title="class")
    return figure


def _scatter(ax: Axes, code: Codes, colours: Colours) -> None:
    """Two coordinates of each example."""
    points, names = project(code)
    if colours.classes is not None:
        present = np.unique(colours.classes)
        order = np.random.default_rng(0).permutation(len(points))  # no class lies on top of all others
        shades = np.array(style.palette(len(present)))[np.searchsorted(present, colours.classes)]
        ax.scatter(points[order, 0], points[order, 1], color=shades[order], **_dots(len(points)))
        for shade, label in zip(style.palette(len(present)), present, strict=True):
            ax.scatter([], [], color=shade, s=9, linewidths=0, label=str(label))
    elif colours.numbers is not None:
        drawn = ax.scatter(points[:, 0], points[:, 1], **_dots(len(points)))
        drawn.set_array(colours.numbers)
        drawn.set_cmap("viridis")
        bar = ax.figure.colorbar(drawn, ax=ax, fraction=0.04, pad=0.03)
        bar.outline.set_visible(False)
        bar.ax.tick_params(labelsize=style.SMALL, colors=style.MUTED, length=0)
        bar.set_label("context", fontsize=style.MEDIUM, color=style.INK)
    else:
        ax.scatter(points[:, 0], points[:, 1], color=style.BLUE, **_dots(len(points)))
    ax.set(xlabel=names[0], ylabel=names[1])
    ax.set_aspect("equal", adjustable="datalim")
    ax.margins(0.04)


def _histogram(ax: Axes, code: Codes, colours: Colours) -> None:
    """The distribution of one coordinate, in each class."""
    values = code.values[:, 0]
    count = int(np.clip(round(1.5 * len(values) ** 0.5), 8, 40))
    bins = list(np.histogram_bin_edges(values[np.isfinite(values)], bins=count))
    if colours.classes is None:
        ax.hist(values, bins=bins, density=True, color=style.BLUE)
    else:
        present = np.unique(colours.classes)
        groups = [values[colours.classes == label] for label in present]
        names = [str(label) for label in present]
        ax.hist(groups, bins=bins, stacked=True, density=True, color=style.palette(len(present)), label=names)
    ax.set(xlabel=code.name, ylabel="density")


def _usage(ax: Axes, code: Codes, colours: Colours) -> None:
    """How often each value of a discrete variable is used, most used first; the dashed line is equal use."""
    counts = np.sort(np.bincount(code.values.astype(np.int64).flatten(), minlength=code.levels or 0))[::-1]
    shares = counts / counts.sum()
    used = shares[shares > 0]
    perplexity = float(np.exp(-(used * np.log(used)).sum()))
    ax.bar(np.arange(len(shares)), shares, width=0.9 if len(shares) < 100 else 1.0, color=style.BLUE, linewidth=0)
    ax.axhline(1 / len(shares), color=style.MUTED, linewidth=0.9, linestyle=(0, (4, 3)))
    ax.set(xlabel="values, most used first", ylabel="share")
    ax.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    ax.annotate(
        f"{len(used)} of {len(shares)} used, perplexity {perplexity:.1f}", (0, 1), (0, 7), xycoords="axes fraction",
        textcoords="offset points", fontsize=style.SMALL, color=style.MUTED,
    )  # fmt: skip


def project(code: Codes) -> tuple[Array, tuple[str, str]]:
    """Two coordinates of each example, and what they are."""
    values = np.nan_to_num(code.values, posinf=0.0, neginf=0.0)
    active = np.flatnonzero(values.var(axis=0) > ACTIVE)
    if values.shape[1] == 2 or len(active) == 2:
        first, second = (0, 1) if values.shape[1] == 2 else (int(active[0]), int(active[1]))
        return values[:, [first, second]], (f"dimension {first}", f"dimension {second}")
    centred = values - values.mean(axis=0)
    _, spread, directions = np.linalg.svd(centred, full_matrices=False)
    shares = spread**2 / max(float((spread**2).sum()), 1e-300)
    names = [f"principal component {i + 1} ({shares[i]:.0%})" for i in range(2)]
    return centred @ directions[:2].T, (names[0], names[1])


def _dots(count: int) -> dict[str, Any]:
    """Fewer points are larger."""
    return {"s": float(np.clip(20000 / max(count, 1), 7, 30)), "alpha": 0.8, "linewidths": 0}
