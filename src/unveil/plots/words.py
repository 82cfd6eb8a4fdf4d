"""The topics of documents: each topic's likeliest words, and how much it takes of all words."""

from __future__ import annotations

from math import ceil

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from unveil.plots import style
from unveil.plots.heatmaps import labels_of, length_of
from unveil.plots.panels import LEFT, RIGHT

MOST_TOPICS, MOST_WORDS, COLUMNS, LONGEST = 12, 8, 3, 14
BAR, BETWEEN, BELOW = 0.19, 0.25, 0.62
"""The height of a bar, the white between panels, and what is below and above each, in inches."""


def topics(
    distributions: Tensor,
    shares: Tensor,
    *,
    names: tuple[str, ...] = (),
    title: str = "Topics",
    note: str = "",
) -> Figure:
    """The likeliest words of each topic, the topic that takes most words first.

    Args:
        distributions: Each topic's probabilities of the words, (K, V).
        shares: Of all words of the data, how many each topic takes, (K,); they sum to one.
        names: What the words are called; "word 0" and so on where there are fewer or more than words.
        title: The figure's title.
        note: A line below it.
    """
    order = shares.nan_to_num().argsort(descending=True, stable=True)[:MOST_TOPICS]
    words = min(MOST_WORDS, distributions.shape[-1])
    called = labels_of(names, distributions.shape[-1], "word", LONGEST)
    likeliest = distributions[order].nan_to_num().topk(words).indices
    left = 0.1 + length_of([called[index] for index in likeliest.unique().tolist()])
    note = "\n".join(filter(None, [note, told(shares, order, words, distributions.shape[-1])]))
    columns = min(COLUMNS, len(order))
    wide = (style.WIDTH - LEFT - RIGHT - BETWEEN * (COLUMNS - 1)) / COLUMNS - left
    high, top = BAR * words, style.header(note) + 0.5
    figure = style.canvas(top + ceil(len(order) / columns) * (high + BELOW), title, note)
    everywhere = shares @ distributions
    most = float(distributions[order].nan_to_num().max())
    for place, topic in enumerate(order.tolist()):
        row, column = divmod(place, columns)
        at = (LEFT + left + column * (wide + left + BETWEEN), top + row * (high + BELOW), wide, high)
        ax, which = style.axes(figure, at), likeliest[place]
        label = f"Topic {topic}: {100 * shares[topic].item():.1f}% of words"
        above = ax.text(-left / wide, 1 + 0.08 / high, label, transform=ax.transAxes, va="bottom")
        above.set(fontsize=style.MEDIUM, color=style.INK)
        bars(ax, distributions[topic, which], everywhere[which], [called[index] for index in which.tolist()])
        ax.set_xlim(0, 1.05 * most or 1.0)
    return figure


def bars(ax: Axes, p: Tensor, everywhere: Tensor, names: list[str]) -> None:
    """Words' probabilities in a topic as bars, with a mark where they are in all documents."""
    places = range(len(names))
    ax.barh(places, p.numpy(), height=0.72, color=style.BLUE, linewidth=0)
    ax.plot(everywhere.numpy(), places, "|", color=style.INK, markersize=8, markeredgewidth=1.6, linestyle="")
    ax.set_yticks(places, names)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0, labelcolor=style.INK)
    ax.locator_params(axis="x", nbins=3)


def told(shares: Tensor, order: Tensor, words: int, vocabulary: int) -> str:
    """What is shown, and what is left out."""
    said = f"Bars: the {words} likeliest of {vocabulary:,} words, their probabilities; ticks: in all topics together."
    if len(order) < len(shares):
        held = 100 * shares[order].sum().item()
        return f"{said}\nThe {len(order)} largest of {len(shares)} topics; they take {held:.1f}% of all words."
    return f"{said}\nTopics by their share of all words, the largest first." if len(shares) > 1 else said
