"""Model, objective and gradient in one module whose ``forward(batch)`` is the loss.

Everything that data-parallel wrappers and compilers must see happens inside that one call.
"""

from __future__ import annotations

import warnings
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from unveil.distributions import Generator
from unveil.gradients import Gradient, Pathwise, Step
from unveil.models import Model, Trace
from unveil.models.checking import check_scored, check_values
from unveil.nets import Net
from unveil.objectives import ELBO, Objective
from unveil.parts import Part, Progress, parts_of
from unveil.variables import Batch

MONITORED = ("objective", "log_likelihood", "rate")
"""What is summed over every batch for the metrics."""


class Learner(nn.Module):
    """The loss of a batch.

    Args:
        model: What is fitted.
        objective: What is maximised; the ELBO by default.
        gradient: How its gradient is estimated; through reparametrised draws by default.
        precision: The floating-point type of matrix products and convolutions; the rest stays as the parameters are.

    Raises:
        TypeError: If a part is none, such as a class in the place of an object.
        ValueError: If the gradient estimator is wrong for the objective.

    Example:
        In a loop of your own::

            model.initialize(Batch(x=x), torch.Generator().manual_seed(0))  # once, with much of the training data
            learner = Learner(model)
            loss = learner(Batch(x=x)).mean()
            loss.backward()
    """

    def __init__(
        self,
        model: Model,
        objective: Objective | None = None,
        gradient: Gradient | None = None,
        precision: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        _require("model", model, Model)
        _require("objective", objective, Objective)
        _require("gradient", gradient, Gradient)
        self.model = model
        self.objective = objective or ELBO()
        self.gradient = gradient or Pathwise()
        self.gradient.check(self.objective)
        self.precision = precision
        self._begun = False
        self.monitored = torch.zeros(len(MONITORED))
        self.observers = [part for part in parts_of(self) if type(part).observe is not Part.observe]
        self.followers = [part for part in parts_of(self) if type(part).after_step is not Part.after_step]

    def forward(self, batch: Batch, generator: Generator = None) -> Tensor:
        """The surrogate loss of each example, (B,); its mean is what a loop descends."""
        if not isinstance(batch, Batch):
            raise TypeError(f"batch: expected a Batch, uv.Batch(x=...), got {type(batch).__name__}")
        step = self.step(batch, generator)
        if not self._begun:
            self._begin(batch, step.traces)
        self._look(step.value.detach(), step.traces)
        return step.loss

    def step(self, batch: Batch, generator: Generator = None) -> Step:
        """The loss of each example, the objective's value, and the traces that they come from."""
        low = self.precision in (torch.bfloat16, torch.float16)
        with torch.autocast(self.model.device.type, self.precision) if low else nullcontext():
            return self.gradient(self.model, self.objective, batch, generator)

    def compile_nets(self) -> None:
        """Compile every net. A whole walk is not compiled: its sources and generators are new objects at each step,
        for which a compiler makes new code each time."""
        for module in self.modules():
            if isinstance(module, Net):
                module.compile()

    def _begin(self, batch: Batch, traces: tuple[Trace, ...]) -> None:
        """Look at the first batch more closely than at those that follow."""
        self._begun = self.training
        check_values(self.model, batch)
        check_scored(traces, batch)
        if self.training and self.model.wants_data and not self.model.initialized:
            warnings.warn(
                "the model's parts have not looked at the data (scales of inputs, output biases); before the first "
                "step call model.initialize(batch, generator), as uv.fit does",
                stacklevel=5,
            )

    @torch.no_grad()
    def _look(self, value: Tensor, traces: tuple) -> None:
        """Sums over the batch for the metrics, and a look at the traces for the parts that want one."""
        first = traces[0]
        terms = (value, first.expectation(first.log_likelihood), first.expectation(first.rate()))
        self.monitored = torch.stack(terms).sum(1)
        if self.model.training:
            for part in self.observers:
                for trace in traces:
                    part.observe(trace)

    def after_step(self, progress: Progress) -> None:
        """Let every part follow the progress of training."""
        for part in self.followers:
            part.after_step(progress)


def _require(name: str, part: object, kind: type) -> None:
    if part is not None and not isinstance(part, kind):
        raise TypeError(f"{name}: expected an object of a class of {kind.__name__}, got {part!r}")
