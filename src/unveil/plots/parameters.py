"""Which picture shows the parameters of which model, and of which tensors it is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch
from matplotlib.figure import Figure
from torch import Tensor

from unveil.components import Binomial, Categorical, FactorAnalyser, Gaussian, NormalWishart
from unveil.data import Data, Split
from unveil.models import (
    BayesianGaussianMixture,
    BayesianLinearRegression,
    FactorAnalysis,
    HiddenMarkov,
    LatentDirichletAllocation,
    MixtureModel,
    Model,
    ProbabilisticPCA,
)
from unveil.plots import style
from unveil.plots.anatomy import evenly, spread_rows, thinned
from unveil.plots.chains import MOST_SEQUENCES, chain
from unveil.plots.components import Ellipses, means_as_images
from unveil.plots.factors import loadings, loadings_as_images
from unveil.plots.histograms import Densities, grid_of
from unveil.plots.levels import Blocks, Profiles
from unveil.plots.panels import Panel, page
from unveil.plots.regression import weights
from unveil.plots.words import topics
from unveil.variables import Batch

MOST_ROWS, MOST_STEPS = 5000, 20000
"""As many rows, and as many steps of sequences, are looked at."""

Picture = Callable[[], Figure] | str
"""What draws a figure; or why there is none."""
Family = Gaussian | FactorAnalyser | NormalWishart | Binomial | Categorical
"""Components that there are pictures of."""


@dataclass(frozen=True, eq=False)
class Shown:
    """What a picture of parameters is made of, beside the model.

    Args:
        data: The data set, which knows what features are called.
        split: The rows that are shown.
        title: The model and the data.
        note: What the model was found to be worth.
    """

    data: Data
    split: Split
    title: str
    note: str

    @property
    def given(self) -> tuple[str, ...]:
        """What the entries of the context are called; nothing where nobody said."""
        found = self.data.format
        return () if found is None else found.given or tuple(found.class_names)


@dataclass(frozen=True)
class Kind:
    """Models whose parameters one kind of picture shows.

    Args:
        models: Their classes.
        called: What they are called.
        draw: Draws the picture of one.
        lacking: Why there is none of one of them; empty where there is one.
    """

    models: tuple[type[Model], ...]
    called: str
    draw: Callable[[Any, Shown], Figure]
    lacking: Callable[[Any], str] = lambda model: ""


def of_parameters(model: Model, shown: Shown) -> dict[str, Picture]:
    """The pictures of all kinds of parameters by name: what draws them, or why they can't be drawn."""
    return {
        name: kind.lacking(model) or partial(kind.draw, model, shown)
        if isinstance(model, kind.models)
        else f"the model is no {kind.called}"
        for name, kind in KINDS.items()
    }


def unknown(family: object) -> str:
    """Why components of a family can't be drawn over data; empty where they can."""
    return "" if isinstance(family, Family) else f"there is no picture of {type(family).__name__} components"


def without_components(model: MixtureModel | BayesianGaussianMixture) -> str:
    """Why a mixture's components can't be drawn; empty where they can."""
    return "" if model.x.is_image else unknown(model.family)


def components_of(model: MixtureModel | BayesianGaussianMixture, shown: Shown) -> Figure:
    """The components of a mixture: as images, or over the rows of a split."""
    title, shares = f"{shown.title}: components", model.weights.cpu()
    if model.x.is_image:
        return means_as_images(model.family.means.cpu(), shares, model.x.levels, title=title, note=shown.note)
    batch = spread_rows(shown.split, MOST_ROWS)
    x, r = observed(batch), model.responsibilities(batch.to(model.device)).cpu()
    return page(title, shown.note, [panel_of(model.family, shares, x.flatten(1), r, shown.data.columns)])


def chain_of(model: HiddenMarkov, shown: Shown) -> Figure:
    """The states of a hidden Markov model, over some sequences of a split."""
    batch = spread_rows(shown.split, max(MOST_SEQUENCES, min(MOST_ROWS, MOST_STEPS // model.length)))
    x = observed(batch).reshape(len(batch), model.length, -1)
    there = x.isfinite().any(-1)
    batch = batch.to(model.device)
    r, x_seen = model.responsibilities(batch).cpu()[there], x[there]
    shares = r.mean(0) if len(r) else torch.full_like(model.initial.cpu(), torch.nan)
    path = cast(Tensor, model.encode(thinned(batch, MOST_SEQUENCES))).cpu()
    emissions = None if unknown(model.family) else panel_of(model.family, shares, x_seen, r, (), states=True)
    return chain(
        model.initial.cpu(), model.transition.cpu(), shares, x[evenly(len(x), MOST_SEQUENCES)], path, emissions,
        levels=model.x.levels, name="value" if x.shape[-1] == 1 else "feature 0", title=f"{shown.title}: states",
        note=shown.note,
    )  # fmt: skip


def loadings_of(model: FactorAnalysis | ProbabilisticPCA, shown: Shown) -> Figure:
    """What the factors do."""
    title, loading = f"{shown.title}: loadings", model.loading.cpu()
    if model.x.is_image:
        images = loading.mT.reshape(-1, *model.x.shape)
        return loadings_as_images(images, model.mean.cpu(), title=title, note=shown.note)
    noise = model.noise.cpu().expand(len(loading))
    return loadings(loading, noise, names=shown.data.columns, title=title, note=shown.note)


@torch.no_grad()
def topics_of(model: LatentDirichletAllocation, shown: Shown) -> Figure:
    """What the topics say, and how much of the documents of a split each takes."""
    batch = spread_rows(shown.split, MOST_ROWS).to(model.device)
    words = model.expect(model.some(batch))[1]["words"].sum(-1).cpu()
    shares, p = words / words.sum(), model.distributions.cpu()
    return topics(p, shares, names=shown.data.columns, title=f"{shown.title}: topics", note=shown.note)


@torch.no_grad()
def weights_of(model: BayesianLinearRegression, shown: Shown) -> Figure:
    """The weights of a regression in units of deviations, without that of the constant.

    q(w, t) is normal-gamma: of w alone, Student's t, whose covariance is V b / (a - 1).
    """
    shape, rate = model.noise.cpu()
    unexplained = rate / (shape - 1) if shape > 1 else torch.nan
    variances = torch.cholesky_inverse(model.root.cpu()).diagonal()[:-1] * unexplained
    means = model.loc.cpu()[:-1]
    return weights(means, variances.sqrt(), names=shown.given, title=f"{shown.title}: weights", note=shown.note)


def panel_of(
    family: Any, shares: Tensor, x: Tensor, r: Tensor, names: tuple[str, ...], *, states: bool = False
) -> Panel:
    """What shows components of this family best.

    Args:
        family: One of those that there are pictures of.
        shares: (K,).
        x: Data, (N, D), NaN where missing.
        r: Responsibilities, (N, K).
        names: What the features are called.
        states: Whether they are states, which keep their order and have a colour each.
    """
    called, title = ("state", "What each state emits") if states else ("component", "")
    look: dict[str, Any] = {"weights": shares, "names": names, "called": called, "title": title}
    if isinstance(family, Categorical):
        return Blocks(probabilities=family.probabilities.cpu().flatten(1, -2), ordered=not states, **look)
    if x.shape[-1] == 1:
        name = names[0] if names else "value"
        grid, p = on_grid(family, x[:, 0])
        return Densities(grid, p, shares, x[:, 0], family.x.levels, name, called, title)
    means = family.means.cpu().flatten(1)
    if isinstance(family, Binomial):
        return Profiles(means=means, levels=family.x.levels, ordered=not states, **look)
    colours = tuple(style.palette(len(means))) if states else ()
    covariances = family.covariances.cpu()
    return Ellipses(means=means, covariances=covariances, x=x, responsibilities=r, colours=colours, **look)


@torch.no_grad()
def on_grid(family: Any, x: Tensor) -> tuple[Tensor, Tensor]:
    """Points of one feature, (G,), and p(x | k) there, (K, G)."""
    if isinstance(family, Binomial):
        grid = torch.arange(family.total + 1).double()
    else:
        means, variances = family.means.cpu().flatten(), family.covariances.cpu().flatten()
        grid = grid_of(x, means, variances.sqrt())
    every = torch.arange(family.components, device=family.means.device)
    points = grid.to(every.device).reshape(-1, 1, *family.x.shape)
    return grid, family(every).log_prob(points).exp().mT.cpu()


def observed(batch: Batch) -> Tensor:
    """x on the CPU, NaN where missing."""
    x, mask = batch.observed["x"].double(), batch.mask_of("x")
    return (x if mask is None else x.where(mask, torch.nan)).cpu()


KINDS: dict[str, Kind] = {
    "components": Kind((MixtureModel, BayesianGaussianMixture), "mixture", components_of, without_components),
    "chain": Kind((HiddenMarkov,), "hidden Markov model", chain_of),
    "loadings": Kind((FactorAnalysis, ProbabilisticPCA), "factor analysis", loadings_of),
    "topics": Kind((LatentDirichletAllocation,), "topic model", topics_of),
    "weights": Kind((BayesianLinearRegression,), "Bayesian linear regression", weights_of),
}
"""Every kind of picture of parameters, by its name."""
