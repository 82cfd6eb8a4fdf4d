"""Models of data by an exact density, without a latent variable: normalizing flows.

log p(x | c) is exact for real numbers. For whole numbers 0, ..., L - 1 the flow is a density of y = x + u, u in [0, 1):
log P(x) = log E_q(y | x)[p(y) / q(y | x)], bounded below by the ELBO and estimated by importance sampling like any
other model's. Both count in the data's own units: nats for P(x) of whole numbers.
"""

from __future__ import annotations

import torch
from torch import Tensor

from unveil import flows
from unveil.distributions import Floor, Generator, Point, Transformed
from unveil.flows import ActNorm, Chain, DequantizationFactory, FlowFactory, Logit, Uniform
from unveil.models.model import Model
from unveil.models.visit import Visit
from unveil.variables import Batch, Observed, Variable

MARGIN = 1e-6
"""How far the logit of whole numbers keeps from 0 and 1 (Papamakarios et al. 2017, for MNIST)."""


class FlowModel(Model):
    """p(x | c) by a flow.

    Whole numbers are dequantized and mapped to all real numbers by a logit. Real numbers are then brought to zero mean
    and unit variance (per entry of a vector, per channel of an image), with the log-determinants of both.

    Args:
        x: What is observed.
        context: What the model is conditioned on, if anything.
        flow: Makes the flow.
        dequantization: Makes q(y | x) for whole numbers.
        margin: How far the logit of whole numbers keeps from 0 and 1.

    Example:
        >>> model = FlowModel(Variable((3,)))
        >>> model.log_prob(torch.zeros(5, 3)).shape
        torch.Size([5])
    """

    x: Variable
    latents = ()  # y is the data itself

    def __init__(
        self,
        x: Variable,
        context: Variable | None = None,
        flow: FlowFactory = flows.MAF,
        dequantization: DequantizationFactory = Uniform,
        margin: float = MARGIN,
    ) -> None:
        super().__init__()
        for name, variable in (("x", x), ("context", context)):
            if not isinstance(variable, Variable) and variable is not None:
                raise TypeError(
                    f"{name}: expected a Variable, which says what the data is (data.variable, data.context, or "
                    f"Variable((3,)) for three real numbers), got {variable!r}"
                )
        self.x, self.context = x, context
        standardize = ActNorm(x.shape, learned=False)
        self.input = standardize if x.levels is None else Chain([Logit(x.shape, x.levels, margin), standardize])
        self.flow = flow(x.shape, context.features if context else 0)
        self.dequantization = None if x.levels is None else dequantization(x)

    def walk(self, visit: Visit, batch: Batch) -> None:
        """x, or y and what it is rounded down to."""
        x, c, dequantize = batch["x"], batch.context, self.dequantization
        if batch.mask is not None:
            raise ValueError("mask: a flow can't marginalise missing entries; impute them, or fit a VAE")
        if dequantize is None:
            visit("x", p=lambda: self.density(c), value=x)
        else:
            q = None if x is None else lambda: dequantize(x.to(self.dtype))
            y = visit("y", p=lambda: self.density(c), q=q)
            visit("x", p=lambda: self._observed(y), value=x)

    def density(self, context: Tensor | None = None) -> Transformed:
        """p(x | c) of real numbers; of whole numbers, p(y | c)."""
        return Transformed(self.flow(context), self.input)

    def log_prob(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """log p(x | c) of real numbers, (B,) in nats, exactly.

        Raises:
            ValueError: For whole numbers, whose log P(x) is only estimated: use ``uv.evaluate``.
        """
        if self.x.levels is not None:
            raise ValueError("log_prob: log P(x) of whole numbers is an integral over y; use uv.evaluate, or an ELBO")
        values, given = self._given(x, context)
        return self.density(given).log_prob(values)

    @torch.no_grad()
    def encode(self, x: Observed | Batch, *, context: Tensor | None = None) -> Tensor:
        """The noise that x comes from, z = f(x), without gradients; whole numbers at the middle of their cells.

        Returns:
            (B, \\*noise shape).
        """
        values, given = self._given(x, context)
        y = values if self.x.levels is None else values + 0.5
        return self.flow.bijection(self.input(y)[0], given)[0]

    def decode(self, z: Observed, *, context: Tensor | None = None, generator: Generator = None) -> Point:
        """What noise becomes: x = f^-1(z), rounded down to whole numbers, for certain; its ``mean`` is the value.

        Args:
            z: (B, \\*noise shape), as ``encode`` gives it.
            context: What is conditioned on, (B, features).
            generator: Not asked: nothing is random.
        """
        shape = self.flow.bijection.out_shape
        if not isinstance(z, Tensor) or z.shape[1:] != shape:
            got = tuple(z.shape) if isinstance(z, Tensor) else type(z).__name__
            raise ValueError(f"z: expected a tensor, (examples, {', '.join(map(str, shape))}), got {got}")
        batch = self._batch(Batch(context=context, size=len(z)), None).to_precision(self.dtype)
        y, _ = self.flow.bijection.inverse(z.to(self.device, self.dtype), batch.context)
        return self._observed(self.input.inverse(y)[0])

    def _given(self, x: Observed | Batch, context: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Data and context, checked, in the model's precision."""
        batch = self._batch(x, context).to_precision(self.dtype)
        values = batch["x"]
        if values is None:
            raise ValueError("x: expected data, got none")
        return values.to(self.dtype), batch.context

    def _observed(self, y: Tensor) -> Point:
        """What is seen of y."""
        events = len(self.x.shape)
        return Point(y, events) if self.x.levels is None else Floor(y, self.x.levels, events)
