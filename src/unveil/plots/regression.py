"""The weights of a regression with what is not known of them."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from torch import Tensor

from unveil.plots import style
from unveil.plots.heatmaps import labels_of, length_of
from unveil.plots.panels import LEFT

MOST, IN_ORDER = 30, 8
"""The most weights shown, and the most that are left in the data's order."""
DEVIATIONS = 2.0
ROW = 0.24


def weights(
    means: Tensor,
    deviations: Tensor,
    *,
    names: tuple[str, ...] = (),
    title: str = "Weights",
    note: str = "",
) -> Figure:
    """The weight of each feature with two posterior standard deviations on each side, the largest first if many.

    Args:
        means: Of the posterior, (D,), in units in which weights compare.
        deviations: Of the posterior, (D,).
        names: What the features are called; "feature 0" and so on where there are fewer or more than features.
        title: The figure's title.
        note: A line below it.
    """
    count = len(means)
    order = list(range(count))
    if count > IN_ORDER:
        order = means.abs().nan_to_num().argsort(descending=True, stable=True)[:MOST].tolist()
    features = labels_of(names, count)
    shown = [features[index] for index in order]
    said = "Standardized: in standard deviations of y, per standard deviation of the feature."
    lines = "Lines: two posterior standard deviations on each side."
    hidden = f"The {len(order)} largest of {count:,} weights." if len(order) < count else ""
    note = "\n".join(filter(None, [note, said, " ".join(filter(None, [lines, hidden]))]))
    top, high, left = style.header(note) + 0.45, max(ROW * len(order), 0.6), LEFT + 0.1 + length_of(shown)
    figure = style.canvas(top + high + 0.65, title, note)
    ax = style.axes(figure, (left, top, style.WIDTH - left - 0.4, high))
    intervals(ax, means[order], deviations[order], shown)
    handles = [
        Patch(color=style.BLUE, label="0 is more than 2 sd away"),
        Patch(color=style.MUTED, label="0 is within 2 sd"),
    ]
    style.legend(ax, handles=handles, loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderaxespad=0.2)
    return figure


def intervals(ax: Axes, means: Tensor, deviations: Tensor, names: list[str]) -> None:
    """A dot and a line for each weight, the first at the top; grey where the line holds 0."""
    half = DEVIATIONS * deviations
    ax.axvline(0, color=style.MUTED, linewidth=0.9, zorder=1)
    for place, (mean, reach) in enumerate(zip(means.tolist(), half.tolist(), strict=True)):
        colour = style.BLUE if abs(mean) > reach else style.MUTED
        ax.plot([mean - reach, mean + reach], [place, place], color=colour, linewidth=2.2, solid_capstyle="butt")
        ax.plot([mean], [place], "o", color=colour, markersize=5.5)
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0, labelcolor=style.INK)
    ax.grid(axis="x", color=style.FAINT, linewidth=0.6, alpha=0.7)
    ax.set_axisbelow(True)
    ax.set_xlabel("standardized weight")
