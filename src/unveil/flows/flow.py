"""A flow: a module whose call returns the distribution of x = f^-1(z; c), z ~ p_Z: an exact density."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from unveil.distributions import Normal, Transformed
from unveil.flows.base import Bijection, Chain
from unveil.flows.shapes import Reshape
from unveil.parts import Part
from unveil.variables import Variable

if TYPE_CHECKING:
    from unveil.priors import PriorFactory


class Flow(Part):
    """p(x | c) = p_Z(f(x; c)) |det df/dx| (Rezende & Mohamed 2015; Dinh et al. 2017).

    Args:
        bijection: f, from x to noise.
        base: Makes p_Z, a class of ``unveil.priors``; N(0, I) by default.

    Example:
        >>> from unveil.flows import Coupling
        >>> flow = Flow(Coupling((4,), context=2))
        >>> flow(torch.zeros(5, 2)).log_prob(torch.zeros(5, 4)).shape
        torch.Size([5])
    """

    loc: Tensor
    scale: Tensor

    def __init__(self, bijection: Bijection, base: PriorFactory | None = None) -> None:
        super().__init__()
        if base is not None and len(bijection.out_shape) != 1:
            bijection = Chain([bijection, Reshape(bijection.out_shape)])  # priors are of vectors
        self.shape, self.context, self.bijection = bijection.shape, bijection.context, bijection
        self.base = None if base is None else base(prod(self.shape), self.context, Variable(bijection.out_shape))
        self.register_buffer("loc", torch.zeros(bijection.out_shape), persistent=False)
        self.register_buffer("scale", torch.ones(bijection.out_shape), persistent=False)

    def forward(self, context: Tensor | None = None) -> Transformed:
        """p(x | c), of batch shape () or that of the context."""
        features = 0 if context is None else context.shape[-1]
        if features != self.context:
            raise ValueError(
                f"context: expected {self.context or 'no'} features to be conditioned on, got {features or 'none'}"
            )
        base = Normal(self.loc, self.scale, len(self.loc.shape)) if self.base is None else self.base(context=context)
        return Transformed(base, self.bijection, context)

    @torch.no_grad()
    def start_from(self, x: Tensor, context: Tensor | None = None) -> None:
        """Let training examples pass, so that activation norms start from them: once, before the first step.

        In a model ``model.initialize`` does that, and ``uv.fit`` calls it.

        Args:
            x: Many examples, (N, \\*shape).
            context: Theirs, (N, features).
        """
        for module in self.modules():
            if isinstance(module, Part):
                module.begin_initialization()
        self(context).log_prob(x)
