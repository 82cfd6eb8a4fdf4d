"""Annealed importance sampling: log p(x) between two bounds, for models of one continuous latent variable.

Between the prior and the posterior stand the densities f_t(z) = p(z) p(x | z)^beta_t, 0 = beta_0 < ... < beta_T = 1.
A chain that starts at z_0 ~ p(z) and is moved by transitions that leave f_1, f_2, ... invariant has the weight::

    log w = sum_t (beta_t - beta_{t-1}) log p(x | z_{t-1})        E[w] = p(x)           (Neal 2001)

so that the log of an average of w is, in expectation, a lower bound. Started at an exact sample of the posterior and
run backwards, the same chain has E[1/w] = 1/p(x): an upper bound. Exact samples are had where the data is simulated:
z ~ p(z), x ~ p(x | z) makes z one of p(z | x) (bidirectional Monte Carlo: Grosse, Ghahramani & Adams 2015).

Step sizes are adapted for each chain and temperature in a pilot run and then left alone: chains that adapt on the way
would leave nothing invariant, and the bounds would not be bounds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from unveil.distributions import Generator, Mixture, RowGenerators
from unveil.evaluation.accumulate import LogMean
from unveil.evaluation.estimate import Estimate, PerExample
from unveil.evaluation.examples import Examples
from unveil.evaluation.hmc import State, transition
from unveil.evaluation.streaming import Stream, seed_of
from unveil.models import FromPrior, Given, Model
from unveil.variables import Batch, Observed

TARGET = 0.65
"""The share of moves that should be accepted (Neal 2011)."""
GAIN = 0.2
"""How fast the log of a step size follows its acceptance."""


@dataclass(frozen=True)
class Annealed:
    """What annealing found for each example.

    Args:
        lower: A stochastic lower bound on log p(x).
        upper: A stochastic upper bound, where exact posterior samples were there.
        acceptance: The mean share of accepted moves.
        z: The chains' last values, (C, B, \\*event): approximate samples of the posterior.
    """

    lower: PerExample
    upper: PerExample | None
    acceptance: float
    z: Tensor

    @property
    def log_likelihood(self) -> Estimate:
        """The lower bound, averaged over the examples."""
        return self.lower.mean()

    def __str__(self) -> str:
        above = "" if self.upper is None else f"; {self.upper.mean()}"
        return f"annealed importance sampling: {self.lower.mean()}{above}; {self.acceptance:.0%} of moves accepted"


def ais(
    model: Model,
    data: Observed | Batch,
    *,
    chains: int = 16,
    distributions: int = 500,
    leapfrogs: int = 10,
    posterior: Tensor | None = None,
    seed: int = 0,
) -> Annealed:
    """Bound log p(x) from below, and from above where exact posterior samples are given.

    Args:
        model: A model of one continuous latent variable.
        data: All examples to be judged, (B, \\*shape); they are annealed side by side.
        chains: C, the number of chains for each example.
        distributions: T, the number of steps from the prior to the posterior.
        leapfrogs: Leapfrog steps of each transition.
        posterior: Exact samples of p(z | x), (B, \\*event), if there are any: gives the upper bound.
        seed: Decides every random number.

    Raises:
        ValueError: If the model has no latent variable or several, if the latent is discrete, if a term is not exact,
            or if a number is below 1.
    """
    for name, value in (("chains", chains), ("distributions", distributions), ("leapfrogs", leapfrogs)):
        if value < 1:
            raise ValueError(f"{name}: expected at least 1, got {value}")
    examples = Examples(model, data, seed)
    rows = torch.arange(len(examples))
    annealing = _Annealing(model, examples.rows(rows), temperatures(distributions), leapfrogs)

    seeds = (seed_of(seed, purpose) for purpose in (Stream.PILOT, Stream.ANNEALING))
    pilot, measured = (RowGenerators(number, rows.tolist(), model.device) for number in seeds)
    upper = None
    with model.at_rest():
        steps = annealing.pilot(annealing.draw(chains, pilot), pilot)
        forward = annealing.run(annealing.draw(chains, measured), steps, measured)
        if posterior is not None:
            start = posterior.to(forward.z).expand(chains, *posterior.shape)
            backward = annealing.run(start, steps, measured, backward=True)
            inverse = -_log_mean(-backward.log_w).value.cpu()
            unknown = torch.full_like(inverse, torch.nan)  # an example's chains share its one exact sample
            upper = PerExample(inverse, unknown, "upper", chains)
    mean = _log_mean(forward.log_w)
    lower = PerExample(mean.value.cpu(), mean.variance.cpu(), "lower", chains)
    return Annealed(lower, upper, forward.acceptance, forward.z)


def simulate(model: Model, size: int, *, context: Tensor | None = None, seed: int = 0) -> tuple[Observed, Tensor]:
    """Data from the model with an exact sample of each posterior: what the upper bound needs.

    Args:
        model: A model of one latent variable.
        size: How many examples, B; with a context, one for each of its rows.
        context: What is conditioned on, (B, features).
        seed: Decides every random number.

    Returns:
        x, (B, \\*shape), and z, (B, \\*event).
    """
    batch = Batch(size=size) if context is None else Batch(context=context)
    generator = torch.Generator(model.device).manual_seed(seed_of(seed, Stream.SIMULATION))
    with model.at_rest():
        trace = model.trace(batch, FromPrior(1, generator))
    _require_one([term.name for term in trace if not term.data])
    values = {term.name: term.value[0] for term in trace if term.value is not None}
    x = {term.name: values[term.name] for term in trace.data}
    (z,) = (value for name, value in values.items() if name not in x)
    return (next(iter(x.values())) if len(x) == 1 else x), z


def temperatures(distributions: int, spread: float = 4.0) -> list[float]:
    """beta_0 = 0, ..., beta_T = 1 on a sigmoid, dense at both ends (Grosse et al. 2015).

    Args:
        distributions: T.
        spread: How dense.
    """
    sigmoid = [1 / (1 + math.exp(-spread * (2 * t / distributions - 1))) for t in range(distributions + 1)]
    return [(s - sigmoid[0]) / (sigmoid[-1] - sigmoid[0]) for s in sigmoid]


@dataclass(frozen=True)
class _Run:
    z: Tensor
    log_w: Tensor
    acceptance: float


class _Annealing:
    """Chains between a model's prior and its posterior.

    Args:
        model: The model, at rest.
        batch: The examples.
        betas: The powers of the likelihood, from 0 to 1.
        leapfrogs: Leapfrog steps of each transition.
    """

    def __init__(self, model: Model, batch: Batch, betas: list[float], leapfrogs: int) -> None:
        self.model, self.batch, self.betas, self.leapfrogs = model, batch, betas, leapfrogs

    def draw(self, chains: int, generator: Generator) -> Tensor:
        """z ~ p(z), (C, B, \\*event)."""
        trace = self.model.trace(self.batch, FromPrior(chains, generator))
        latents = [term for term in trace if not term.data]
        _require_one([term.name for term in latents])
        (term,) = latents
        _ = trace.log_joint  # refuses terms that are not exact
        if term.value is None or term.p is None or not (term.p.has_rsample or isinstance(term.p, Mixture)):
            raise ValueError(
                f"model: annealing moves a continuous latent variable along gradients, got {term!r}; enumerate it, or "
                "use importance sampling"
            )
        self.name = term.name
        return term.value

    @torch.enable_grad()
    def at(self, z: Tensor, beta: float) -> State:
        """The state at z under p(z) p(x | z)^beta."""
        z = z.detach().requires_grad_()
        trace = self.model.trace(self.batch, Given({self.name: z}))
        log_prior, log_likelihood = trace[self.name].log_p, trace.log_likelihood
        (gradient,) = torch.autograd.grad((log_prior + beta * log_likelihood).sum(), z)
        return State(z.detach(), log_prior.detach(), log_likelihood.detach(), gradient)

    def pilot(self, z: Tensor, generator: Generator) -> list[Tensor]:
        """The step size of each chain at each temperature, (T,) of (C, B), adapted on the way."""
        step = torch.full(z.shape[:2], 0.5 / max(z[0, 0].numel(), 1) ** 0.25, dtype=z.dtype, device=z.device)
        steps = []
        for beta in self.betas[1:]:
            state, accepted = transition(self.at, self.at(z, beta), beta, step, self.leapfrogs, generator)
            z = state.z
            step = step * (GAIN * (accepted - TARGET)).exp()
            steps.append(step)
        return steps

    def run(self, z: Tensor, steps: list[Tensor], generator: Generator, *, backward: bool = False) -> _Run:
        """Anneal the chains from prior to posterior, or back; log w is that of the forward direction in both."""
        log_w = torch.zeros(z.shape[:2], dtype=torch.float64, device=z.device)
        acceptance = 0.0
        order = range(1, len(self.betas))
        for t in reversed(order) if backward else order:
            change = self.betas[t] - self.betas[t - 1]
            state = self.at(z, self.betas[t])
            if not backward:
                log_w += change * state.log_likelihood
            state, accepted = transition(self.at, state, self.betas[t], steps[t - 1], self.leapfrogs, generator)
            if backward:
                log_w += change * state.log_likelihood
            z = state.z
            acceptance += accepted.mean().item() / len(order)
        return _Run(z, log_w, acceptance)


def _log_mean(log_w: Tensor) -> LogMean:
    mean = LogMean()
    mean.add(log_w)
    return mean


def _require_one(latents: list[str]) -> None:
    if len(latents) != 1:
        raise ValueError(
            f"model: annealing moves one latent variable, got {len(latents)}: {', '.join(latents) or 'none'}; use "
            "importance sampling"
        )
