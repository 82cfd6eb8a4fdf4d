"""EM, watched: on two moons and on digits, against a net's posterior, and approximating densities.

Writes moons.gif, digits.gif, amortized.png and densities.png.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from PIL import Image
from torch import Tensor

from unveil import data as datasets
from unveil.components import Gaussian
from unveil.data import Data
from unveil.evaluation import Estimate
from unveil.evaluation.estimate import PerExample
from unveil.files import replacing
from unveil.inference import em
from unveil.inference.climbing import Trouble
from unveil.models import AmortizedMixture, BernoulliMixture, Enumerate, GaussianMixture, MixtureModel
from unveil.objectives import SummedELBO
from unveil.plots import style
from unveil.plots.components import draw
from unveil.plots.mosaics import Mosaic, Range, as_colours, assemble
from unveil.training import fit
from unveil.variables import Batch, Variable

Say = Callable[[str], None]
STEP, REST, DOTS = 180, 3000, 90
"""Milliseconds of a frame and of the last one; dots per inch."""


def show(folder: Path, seed: int = 0, say: Say = print) -> list[Path]:
    """Make all pictures.

    Args:
        folder: Where they go.
        seed: Decides every random number.
        say: Told of each result.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return [
        moons(folder / "moons.gif", seed, say),
        digits(folder / "digits.gif", seed, say),
        amortized(folder / "amortized.png", seed, say),
        densities(folder / "densities.png", seed, say),
    ]


def two_moons(rows: int, seed: int) -> Tensor:
    """Two half circles that face each other, (N, 2)."""
    from sklearn.datasets import make_moons

    return torch.tensor(make_moons(rows, noise=0.07, random_state=seed)[0])


@dataclass
class Frame:
    """A mixture after some steps.

    Args:
        means: (K, \\*shape).
        covariances: (K, D, D); nothing for binary data.
        weights: (K,).
        responsibilities: (N, K).
        bounds: The log-likelihoods so far.
    """

    means: Tensor
    covariances: Tensor
    weights: Tensor
    responsibilities: Tensor
    bounds: list[float]


def watched(model: MixtureModel, x: Tensor, steps: int, seed: int) -> list[Frame]:
    """EM from a poor start, with a frame at the beginning and after each step."""
    begin_poorly(model, x, seed)
    bounds, frames = [model.log_prob(x).mean().item()], []
    for step in range(steps + 1):
        if step:
            with warnings.catch_warnings():  # troubles on the way are in the picture
                warnings.simplefilter("ignore", Trouble)
                bounds = [*bounds, em.fit(model, x, starts=0, steps=1, tolerance=0, progress=False).bounds[-1]]
        family = model.family
        covariances = family.covariances if isinstance(family, Gaussian) else torch.zeros(0)
        frames.append(Frame(family.means, covariances, model.weights, model.responsibilities(x), bounds))
    return frames


@torch.no_grad()
def begin_poorly(model: MixtureModel, x: Tensor, seed: int) -> None:
    """Components hardly apart, about random examples: what k-means++ would find at once is left to EM."""
    generator = torch.Generator().manual_seed(seed)
    model.initialize(Batch(x=x), generator)
    points = model.family.coordinates(x)
    centres = points[:, torch.randperm(len(x), generator=generator)[: model.family.components]]
    distance = torch.cdist(centres.mT, points.mT).square()
    r = (-6 * distance / distance.mean()).softmax(0)
    model.family.start(x, None, r, generator)


def curve(figure: Figure, place: style.Rectangle, frame: Frame, steps: int, last: float) -> None:
    """The log-likelihood so far."""
    ax = style.axes(figure, place, "log-likelihood, nats per row")
    ax.plot(frame.bounds, color=style.BLUE, linewidth=1.8)
    ax.plot(len(frame.bounds) - 1, frame.bounds[-1], "o", color=style.BLUE, markersize=6)
    first = frame.bounds[0]
    ax.set_xlim(0, steps + 1)
    ax.set_ylim(first - 0.05 * (last - first), last + 0.08 * (last - first))
    ax.set_xlabel("step")


def animate(path: Path, frames: list[Frame], picture: Callable[[Frame], Figure]) -> Path:
    """Write frames as a GIF that rests at its end."""
    drawn = []
    for frame in frames:
        canvas = FigureCanvasAgg(picture(frame))
        canvas.figure.set_dpi(DOTS)
        canvas.draw()
        drawn.append(Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3]).quantize(256))
    with replacing(path) as part:
        last = [REST] if len(drawn) > 1 else []
        times = [STEP] * (len(drawn) - 1) + last
        drawn[0].save(part, format="GIF", save_all=True, append_images=drawn[1:], loop=0, duration=times)
    return path


def moons(path: Path, seed: int, say: Say, components: int = 8, steps: int = 40) -> Path:
    """A Gaussian mixture on two moons, step by step."""
    x = two_moons(800, seed)
    frames = watched(GaussianMixture(Variable((2,)), components=components), x, steps, seed)
    last = frames[-1].bounds[-1]
    say(f"two moons: log-likelihood {last:.3f} nats per row (exact, 800 rows) after {steps} steps from a poor start")

    def picture(frame: Frame) -> Figure:
        note = f"step {len(frame.bounds) - 1}: a mixture of {components} Gaussians"
        figure = style.canvas(4.9, "EM on two moons", note)
        left = style.axes(figure, (0.5, 1.1, 4.1, 3.3))
        draw(left, frame.means, frame.covariances, frame.weights, x, frame.responsibilities)
        left.set_xlim(-1.4, 2.4)
        left.set_ylim(-0.9, 1.4)
        curve(figure, (5.4, 1.3, 2.3, 2.6), frame, steps, last)
        return figure

    return animate(path, frames, picture)


def digits(path: Path, seed: int, say: Say, components: int = 20, steps: int = 30) -> Path:
    """A mixture of Bernoullis on digits, step by step: what each component thinks a digit looks like."""
    data = datasets.load("digits", binarize="threshold", seed=seed)
    x = data.train.rows(slice(None)).observed["x"]
    frames = watched(BernoulliMixture(_variable(data), components=components), x, steps, seed)
    last = frames[-1].bounds[-1]
    say(f"digits: log-likelihood {last:.2f} nats per image (exact, {len(x):,} images) after {steps} steps")

    def picture(frame: Frame) -> Figure:
        note = f"step {len(frame.bounds) - 1}: a mixture of {components} Bernoullis"
        figure = style.canvas(4.6, "EM on digits", note)
        tiles = as_colours(frame.means, Range.of(2, frame.means)).reshape(4, components // 4, 8, 8, 3)
        left = style.axes(figure, (0.3, 1.0, 4.5, 3.4))
        left.set_axis_off()
        left.imshow(assemble(Mosaic("", "", tiles))[0], interpolation="antialiased")
        curve(figure, (5.6, 1.3, 2.1, 2.4), frame, steps, last)
        return figure

    return animate(path, frames, picture)


def amortized(path: Path, seed: int, say: Say, components: int = 10) -> Path:
    """The same mixture with a net for q: its bound, and the gap that a net leaves."""
    data = datasets.load(two_moons(2000, seed), test="none", validation="none", seed=seed)
    x = data.train.rows(slice(None)).observed["x"]
    exact = em.fit(GaussianMixture(_variable(data), components=components), x, seed=seed, progress=False)
    torch.manual_seed(seed)
    model = AmortizedMixture(_variable(data), components=components)
    run = fit(model, data, objective=SummedELBO(), epochs=150, lr=3e-3, seed=seed, progress=False)
    same = GaussianMixture(_variable(data), components=components)
    same.family.load_state_dict(model.family.state_dict())
    same.log_weights.data.copy_(model.log_weights.data)
    with torch.no_grad():
        elbo = SummedELBO()(model.trace(x, Enumerate(exact=False))).mean().item()
    log_p = same.log_prob(x).mean().item()
    say(
        f"amortized: EM {exact.log_likelihood}; net: log p(x) {log_p:.3f}, ELBO {elbo:.3f} (lower bound), gap "
        f"{log_p - elbo:.3f} nats"
    )
    note = f"{components} Gaussians on two moons: exact responsibilities (EM), and a net's by gradients"
    figure = style.canvas(4.3, "Exact and amortized q", note)
    left = style.axes(figure, (0.85, 1.2, 3.5, 2.4), "nats per row")
    epochs = [record["epoch"] for record in run.metrics]
    left.plot(epochs, [record["objective"] for record in run.metrics], color=style.ORANGE, label="ELBO, net")
    left.axhline(exact.bounds[-1], color=style.BLUE, label="log p(x), EM")
    left.axhline(log_p, color=style.ORANGE, linestyle="--", label="log p(x), net's mixture")
    left.set_ylim(elbo - 0.5, exact.bounds[-1] + 0.1)
    left.set_xlabel("epoch")
    style.legend(left, loc="lower right")
    right = style.axes(figure, (5.1, 1.2, 2.6, 2.4), f"KL(q(z | x) || p(z | x)): {log_p - elbo:.3f}")
    family = model.family
    assert isinstance(family, Gaussian)
    with torch.no_grad():
        r = model.posterior(x.double()).probs
    draw(right, family.means, family.covariances, model.log_weights.detach().softmax(-1), x, r)
    return style.write(figure, path)


@dataclass(frozen=True)
class Target:
    """A density that is known.

    Args:
        name: What it is called.
        sample: Draws so many points, (N, 2).
        log_prob: Its logarithm, (N,).
        reach: How far it is drawn, (left, right, low, high).
    """

    name: str
    sample: Callable[[int, torch.Generator], Tensor]
    log_prob: Callable[[Tensor], Tensor]
    reach: tuple[float, float, float, float]


def _banana(n: int, generator: torch.Generator) -> Tensor:
    a, e = torch.randn(2, n, generator=generator, dtype=torch.double)
    return torch.stack([a, a.square() + 0.3 * e], 1)


def _log_banana(x: Tensor) -> Tensor:
    e = (x[:, 1] - x[:, 0].square()) / 0.3
    return -0.5 * (x[:, 0].square() + e.square()) - math.log(2 * math.pi * 0.3)


def _square(n: int, generator: torch.Generator) -> Tensor:
    return torch.rand(n, 2, generator=generator, dtype=torch.double)


def _log_square(x: Tensor) -> Tensor:
    return torch.where(((x >= 0) & (x <= 1)).all(1), 0.0, -torch.inf).double()


TARGETS = (
    Target("a banana", _banana, _log_banana, (-3, 3, -1.5, 7)),
    Target("a square", _square, _log_square, (-0.3, 1.3, -0.3, 1.3)),
)


def densities(path: Path, seed: int, say: Say, counts: tuple[int, ...] = (1, 2, 4, 8, 16)) -> Path:
    """Gaussian mixtures of more and more components come near any density."""
    note = "KL(p || mixture) in nats, on 100,000 fresh points; the bars are two standard errors"
    figure = style.canvas(1.2 + 2.3 * len(TARGETS), "A mixture of Gaussians approximates any density", note)
    shown = counts[::2]
    for row, target in enumerate(TARGETS):
        top, found = 1.15 + 2.3 * row, []
        for count in counts:
            model = fitted_to(target, count, seed)
            found.append(divergence(target, model, seed))
            say(f"{target.name}, {count:2} component{'s' * (count > 1)}: KL {found[-1]}")
            if count in shown:
                place = (0.3 + 1.42 * (1 + shown.index(count)), top, 1.3, 1.5)
                contour(figure, place, target, model.log_prob, f"{count} component{'s' * (count > 1)}")
        contour(figure, (0.3, top, 1.3, 1.5), target, target.log_prob, target.name)
        ax = style.axes(figure, (6.5, top, 1.25, 1.5), "KL")
        values, errors = [one.value for one in found], [2 * one.monte_carlo_error for one in found]
        ax.errorbar(counts, values, errors, color=style.BLUE, marker="o", markersize=3)
        ax.set_xscale("log", base=2)
        ax.set_yscale("log")
        ax.yaxis.set_minor_formatter(NullFormatter())
        ax.tick_params(which="minor", length=0)
        ax.set_xlabel("components")
    return style.write(figure, path)


def fitted_to(target: Target, components: int, seed: int) -> GaussianMixture:
    """A mixture, fitted to 50,000 points."""
    generator = torch.Generator().manual_seed(seed)
    model = GaussianMixture(Variable((2,)), components=components)
    em.fit(model, target.sample(50_000, generator), seed=seed, tolerance=1e-4, progress=False)
    return model


def divergence(target: Target, model: GaussianMixture, seed: int, points: int = 100_000) -> Estimate:
    """KL(p || mixture) = E_p[log p(x) - log mixture(x)], on fresh points."""
    x = target.sample(points, torch.Generator().manual_seed(seed + 1))
    mean = PerExample.exact(target.log_prob(x) - model.log_prob(x)).mean()
    return replace(mean, bound="unbiased", monte_carlo_error=mean.standard_error, standard_error=math.nan)


def contour(
    figure: Figure, place: style.Rectangle, target: Target, log_prob: Callable[[Tensor], Tensor], title: str
) -> None:
    """A density on a grid."""
    left, right, low, high = target.reach
    across, up = torch.linspace(left, right, 120).double(), torch.linspace(low, high, 120).double()
    density = log_prob(torch.cartesian_prod(across, up)).exp().reshape(120, 120)
    ax = style.axes(figure, place, title)
    ax.imshow(density.T.numpy(), origin="lower", extent=target.reach, aspect="auto", cmap="Blues")
    ax.set_axis_off()


def _variable(data: Data) -> Variable:
    if not isinstance(data.variable, Variable):
        raise TypeError("data: expected one observed variable")
    return data.variable
