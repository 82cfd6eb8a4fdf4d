"""Gradients through reparametrised draws z = T(eps; phi).

With f = log w and w~_k = w_k / sum_j w_j, for K draws::

    pathwise (Kingma & Welling 2014)               d f(z(phi); theta, phi)
    sticking the landing (Roeder et al. 2017)      the same without d log q(z; phi) at fixed z, which is zero on average
    DReG (Tucker et al. 2019)                      theta: sum_k w~_k d log w_k; phi: sum_k w~_k^2 (d log w_k/dz_k) dz_k

The last two score q with detached *parameters*, while the values that q is conditioned on stay live: in a hierarchy
q(z1 | z2) depends on phi through z2 as well, and that path counts. So the model is walked again, at the same values,
under detached parameters; a distribution that is merely detached would cut the path, which biases DReG and costs
sticking the landing its zero variance.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from unveil.distributions import Generator
from unveil.gradients.base import Gradient, Step
from unveil.models import FromPosterior, Given, Model, Relaxed, Trace
from unveil.objectives import IWAE, Objective
from unveil.objectives.schedules import Schedule, schedule
from unveil.variables import Batch


class Pathwise(Gradient):
    """The total derivative through the draws: right for every objective."""

    def check(self, objective: Objective) -> None:
        """Every objective is differentiable in its draws."""

    def forward(self, model: Model, objective: Objective, batch: Batch, generator: Generator = None) -> Step:
        """One walk."""
        traces = tuple(model.trace(batch, source) for source in objective.sources(generator, pathwise=True))
        value = objective(*traces)
        return Step(-value, value, traces)


class StickingTheLanding(Gradient):
    """Pathwise without the score of q, whose mean is zero: no variance is left where q is the exact posterior."""

    def check(self, objective: Objective) -> None:
        """Only objectives that are linear in log q: elsewhere the score does not average to zero."""
        if not objective.linear_in_log_q:
            raise ValueError(
                f"gradient: StickingTheLanding leaves out E_q[d log q] = 0, which {_name(objective)} does not contain "
                "linearly; use ELBO or BetaELBO with closed_form=False, DReG for IWAE, or Pathwise"
            )

    def forward(self, model: Model, objective: Objective, batch: Batch, generator: Generator = None) -> Step:
        """A walk, and one more that scores q."""
        self.check(objective)
        traces = tuple(
            _rescored(model, batch, trace, subsample=source.subsample) if source.infers else trace
            for source in objective.sources(generator, pathwise=True)
            for trace in [model.trace(batch, source)]
        )
        value = objective(*traces)
        return Step(-value, value, traces)


class DReG(Gradient):
    """The doubly reparametrised gradient of the importance-weighted bound: its signal does not drown as K grows."""

    def check(self, objective: Objective) -> None:
        """Only the importance-weighted bound: another function of the weights has another gradient."""
        if not isinstance(objective, IWAE):
            raise ValueError(
                f"gradient: DReG is the gradient of the importance-weighted bound, which {_name(objective)} is not; "
                "use IWAE, or StickingTheLanding"
            )

    def forward(self, model: Model, objective: Objective, batch: Batch, generator: Generator = None) -> Step:
        """A walk that draws, one that scores p at the values, one that scores q at them."""
        self.check(objective)
        (source,) = objective.sources(generator, pathwise=True)
        if not isinstance(source, FromPosterior):
            raise ValueError(
                f"gradient: DReG is for draws of q, and {_name(objective)} draws from elsewhere; use Pathwise"
            )
        drawn = model.trace(batch, FromPosterior(source.particles, generator, pathwise=True, scores=_needed(model)))
        if coded := [term.name for term in drawn.latents if term.code is not None]:
            raise ValueError(
                f"gradient: DReG walks again at given codes of {', '.join(coded)}, which no gradient passes through to "
                "an encoder; use Pathwise"
            )
        scale = torch.ones(drawn.shape, dtype=model.dtype, device=model.device)
        values = {name: _Scaled.apply(value, scale) for name, value in drawn.values.items()}
        scored = model.trace(batch, Given(values, particles=source.particles, scores="p"))
        trace = _rescored(model, batch, scored, values)
        weights = trace.log_w.detach().softmax(0)
        scale.copy_(weights)  # read in the backward pass: the path through z_k carries w~_k once more
        value = objective(trace)
        return Step(-(weights * trace.log_w).sum(0), value.detach(), (trace,))


class RelaxedPathwise(Gradient):
    """The gradient through relaxed draws of one-hot latents (Gumbel-softmax: Jang et al. 2017, Maddison et al. 2017).

    It is biased: the objective is that of relaxed values, which is no bound on log p(x).

    Args:
        temperature: tau of the relaxation: a number, or a schedule.
    """

    def __init__(self, temperature: float | Schedule = 0.5) -> None:
        super().__init__()
        if not isinstance(temperature, Schedule) and not temperature > 0:
            raise ValueError(f"temperature: expected a positive number, or a schedule, got {temperature}")
        self.temperature = schedule(temperature, "temperature")

    def check(self, objective: Objective) -> None:
        """Only objectives of one trace that need no importance weights."""
        if objective.function_of_log_w:
            raise ValueError(
                f"gradient: a relaxed value has no importance weight, which {_name(objective)} needs; use ELBO"
            )
        if len(objective.sources(None, pathwise=True)) > 1:
            raise ValueError(
                f"gradient: RelaxedPathwise relaxes draws of q, and {_name(objective)} wants draws of p too; use ELBO"
            )

    def forward(self, model: Model, objective: Objective, batch: Batch, generator: Generator = None) -> Step:
        """One walk with relaxed values."""
        self.check(objective)
        trace = model.trace(batch, Relaxed(self.temperature(), objective.particles, generator, subsample=True))
        value = objective(trace)
        return Step(-value, value, (trace,))


class _Scaled(torch.autograd.Function):
    """The identity, whose gradient is multiplied by ``scale``, (K, B), as that stands when the backward pass runs."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, scale: Tensor) -> Tensor:
        ctx.scale = scale
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        scale = ctx.scale
        return gradient * scale.reshape(*scale.shape, *(1,) * (gradient.dim() - 2)).to(gradient.dtype), None


class _Scores(nn.Module):
    """log q of every latent at given values, as a module: its parameters can be replaced in one call."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Batch, values: dict[str, Tensor], particles: int, subsample: bool) -> dict[str, Tensor]:
        source = Given(values, particles=particles, subsample=subsample, scores=_needed(self.model))
        return {term.name: term.log_q for term in self.model.trace(batch, source).latents}


def _rescored(
    model: Model, batch: Batch, trace: Trace, values: dict[str, Tensor] | None = None, *, subsample: bool = False
) -> Trace:
    """The trace with log q at its values under detached parameters, the values live."""
    _refuse_random_nets(model)
    detached = {f"model.{name}": parameter.detach() for name, parameter in model.named_parameters()}
    arguments = (batch, trace.values if values is None else values, trace.particles, subsample)
    log_q = functional_call(_Scores(model), detached, arguments)
    rescored = trace.with_log_q(log_q)
    return Trace(rescored.terms, rescored.shape, log_weight=rescored.log_weight, auxiliary=rescored.auxiliary)


def _refuse_random_nets(model: Model) -> None:
    for name, module in model.named_modules():
        if module.training and isinstance(module, _DropoutNd | _BatchNorm):
            raise ValueError(
                f"gradient: this estimator walks twice, and {name} ({type(module).__name__}) gives another q each "
                "time; use Pathwise, or nets without dropout and batch normalisation"
            )


def _needed(model: Model) -> str:
    """What a pass evaluates for the sake of q: p too where p may be a model, whose latents have a q of their own."""
    return "pq" if any(isinstance(part, Model) for part in model.modules() if part is not model) else "q"


def _name(objective: Objective) -> str:
    return type(objective).__name__
