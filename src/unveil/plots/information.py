"""What the latent variables cost, dimension by dimension, and what that is spent on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from unveil.plots import style

if TYPE_CHECKING:
    from unveil.evaluation import Estimate, Evaluation

MOST_BARS, MOST_NAMES, MOST_KEYS = 200, 24, 8
NOTHING = 0.01
"""Nats that a dimension is not worth a colour for."""
SPENT = {"rate": "rate", "mutual_information": "mutual information", "marginal_kl": "marginal KL"}

Array = NDArray[np.float64]


def rates(evaluation: Evaluation, *, title: str = "Rate: what the latent code costs", note: str = "") -> Figure:
    """The KL of each latent dimension as sorted bars, and the rate as information kept plus mismatch of the prior.

    Where not every KL splits into dimensions (mixture priors, full covariances, variables proposed before their parents
    are known), and for long chains: the rate of each latent variable, in the order of the walk.

    Args:
        evaluation: From :func:`unveil.evaluate`.
        title: The figure's title.
        note: A line below it; whether the latents are used by default.

    Raises:
        ValueError: If the evaluated model has no latent variables.
    """
    if evaluation.units == 0:
        raise ValueError("evaluation: expected that of a model with latent variables, got one without")
    note = note or evaluation.collapse[:1].upper() + evaluation.collapse[1:]
    bars = _dimensions(evaluation) or _variables(evaluation)
    spent = {name: getattr(evaluation, name) for name in SPENT if getattr(evaluation, name) is not None}
    top, high, below = style.header(note) + 0.45, 2.6 if bars else 2.0, bars.below if bars else 0.55
    figure = style.canvas(top + high + below, title, note)
    if bars:
        _draw(style.axes(figure, (0.8, top, style.WIDTH - 1.1 if len(spent) < 2 else 4.0, high), bars.title), bars)
    if len(spent) > 1 or not bars:
        place = (5.25, top, 2.3, high) if bars else (0.3, top, 6.4, high)
        _spent(style.axes(figure, place, "What it is spent on, nats"), spent)
    return figure


@dataclass(frozen=True)
class Bars:
    """Bars with their names.

    Args:
        title: What their height is.
        label: What each stands for.
        heights: In nats.
        names: What each is called.
        colours: One for each.
        keys: What colours mean, where there is more than one.
    """

    title: str
    label: str
    heights: Array
    names: list[str]
    colours: list[str]
    keys: dict[str, str]

    @property
    def upright(self) -> bool:
        """Whether the names are written upwards."""
        return max(map(len, self.names)) > (2 if len(self.names) > 8 else 6)

    @property
    def below(self) -> float:
        """The height that names and label take, in inches."""
        return 0.65 + (0.08 * max(map(len, self.names)) if self.upright and len(self.names) <= MOST_NAMES else 0.0)


def _dimensions(evaluation: Evaluation) -> Bars | None:
    """The KL of each dimension in falling order, pale where it is nothing; None unless all variables' KL splits so."""
    parts = {name: kl.double().flatten().numpy() for name, kl in evaluation.kl_per_dim.items()}
    if not parts or set(parts) != set(evaluation.rate_per_latent) or len(parts) > MOST_KEYS:
        return None
    kl = np.concatenate(list(parts.values()))
    order = np.argsort(-kl, kind="stable")[:MOST_BARS]
    shades = dict(zip(parts, style.palette(len(parts)) if len(parts) > 1 else [style.BLUE], strict=True))
    owned = [(name, place) for name, values in parts.items() for place in range(len(values))]
    names = [f"{name}[{place}]" if len(parts) > 1 else str(place) for name, place in owned]
    colours = [shades[owned[index][0]] if kl[index] > NOTHING else style.FAINT for index in order]
    left_out = f", the first {len(order)} of {len(kl):,}" if len(order) < len(kl) else ""
    label = ("latent dimension" if len(order) <= MOST_NAMES else "rank of the latent dimension") + left_out
    keys = shades if len(parts) > 1 else {}
    keys |= {f"at most {NOTHING} nats": style.FAINT} if (kl <= NOTHING).any() else {}
    return Bars("KL of each dimension, nats", label, kl[order], [names[index] for index in order], colours, keys)


def _variables(evaluation: Evaluation) -> Bars | None:
    """Each latent variable's rate, in the order of the walk; None for a single one."""
    values = evaluation.rate_per_latent
    if len(values) < 2:
        return None
    label = "latent variable" if len(values) <= MOST_NAMES else "latent variable, in the order of the walk"
    heights = np.array(list(values.values()), dtype=np.float64)
    return Bars("Rate of each latent variable, nats", label, heights, list(values), [style.BLUE] * len(values), {})


def _draw(ax: Axes, bars: Bars) -> None:
    count = len(bars.heights)
    ax.bar(np.arange(count), bars.heights, width=0.8 if count < 100 else 1.0, color=bars.colours, linewidth=0)
    if count <= MOST_NAMES:
        ax.set_xticks(np.arange(count), bars.names, rotation=90 if bars.upright else 0)
    else:
        ax.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    ax.tick_params(axis="x", length=0)
    middle, half = (count - 1) / 2, max(count, 6) / 2 + 0.1
    ax.set_xlim(middle - half, middle + half)
    ax.set_xlabel(bars.label)
    ax.yaxis.set_major_locator(MaxNLocator(nbins=5))
    ax.grid(axis="y", color=style.FAINT, linewidth=0.6, alpha=0.7)
    ax.set_axisbelow(True)
    if bars.keys:
        handles = [Patch(color=colour, label=name) for name, colour in bars.keys.items()]
        style.legend(ax, handles=handles, loc="upper right")


def _spent(ax: Axes, spent: dict[str, Estimate]) -> None:
    """The rate, and the two that add up to it end to end, each with its value and its error."""
    start = 0.0
    for place, (name, estimate) in enumerate(spent.items()):
        ax.barh(place, estimate.value, left=start, height=0.3, color=style.BLUE if name == "rate" else style.ORANGE)
        start += 0.0 if name == "rate" else estimate.value
        error = estimate.monte_carlo_error
        text = f"{estimate.figure()} {estimate.error(error)}".replace("+-", "± ").strip()
        ax.annotate(
            f"{SPENT[name]}  {text}", (0, place - 0.2), xycoords=("axes fraction", "data"), fontsize=style.SMALL,
            color=style.INK, va="bottom",
        )  # fmt: skip
    ax.set_ylim(len(spent) - 0.7, -0.55)
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=4))
