"""What every distribution of the library shares.

A distribution is a :class:`torch.distributions.Distribution`: ``log_prob`` is exact, normalised, in nats, summed over
the event axes, with the batch axes kept. Ours add two things: draws take an explicit generator, and a product of
one-dimensional factors gives each factor's log-probability, which per-dimension rates, masks and free bits need.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from torch import Size, Tensor
from torch.distributions import Distribution as TorchDistribution
from torch.distributions import Independent

from unveil.distributions.noise import Generator, RowGenerators, integers


def sum_rightmost(value: Tensor, axes: int) -> Tensor:
    """Sum over the last ``axes`` axes."""
    return value.sum(dim=tuple(range(-axes, 0))) if axes else value


class Distribution(TorchDistribution, ABC):
    """A distribution whose draws take an explicit generator.

    Arguments are not validated here (a training step would pay for it each time); parts check the data at the boundary.

    Args:
        batch_shape: The axes of independent, differently distributed variables.
        event_shape: The axes of one draw.
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}
    scores_draws: bool = False
    """Whether a draw comes with its log-probability at less than the price of ``log_prob``, or more exactly."""

    def __init__(self, batch_shape: Size, event_shape: Size | None = None) -> None:
        super().__init__(batch_shape, event_shape or Size(), validate_args=False)

    @abstractmethod
    def log_prob(self, value: Tensor) -> Tensor:
        """log p(value) in nats, (\\*sample, \\*batch)."""

    @abstractmethod
    def _draw(self, shape: Size, generator: Generator) -> Tensor:
        """A draw of shape (\\*sample, \\*batch, \\*event), differentiable where :attr:`has_rsample` says so."""

    def rsample(self, sample_shape: Sequence[int] = (), generator: Generator = None) -> Tensor:
        """Reparametrised draws, (\\*sample, \\*batch, \\*event)."""
        if not self.has_rsample:
            raise NotImplementedError(f"{type(self).__name__} has no reparametrised draws; call sample")
        return self._draw(self._extended_shape(Size(sample_shape)), generator)

    def rsample_and_log_prob(
        self, sample_shape: Sequence[int] = (), generator: Generator = None
    ) -> tuple[Tensor, Tensor]:
        """Reparametrised draws and their log-probability; without gradients, where these are not wanted, any draws."""
        value = (self.rsample if torch.is_grad_enabled() else self.sample)(sample_shape, generator)
        return value, self.log_prob(value)

    @torch.no_grad()
    def sample(self, sample_shape: Sequence[int] = (), generator: Generator = None) -> Tensor:
        """Draws without a gradient, (\\*sample, \\*batch, \\*event)."""
        return self._draw(self._extended_shape(Size(sample_shape)), generator)


class Factorized(Distribution, ABC):
    """A product of one-dimensional factors, log p(x) = sum_i log p_i(x_i).

    Implementers write the factors; sums over the event axes happen here.

    Args:
        shape: The shape of all factors, batch and event axes together.
        event_dims: How many of the last axes make one event.
    """

    def __init__(self, shape: Size, event_dims: int) -> None:
        split = len(shape) - event_dims
        super().__init__(Size(shape[:split]), Size(shape[split:]))

    @abstractmethod
    def log_prob_per_dim(self, value: Tensor) -> Tensor:
        """Each factor's log p_i(x_i) in nats, (\\*sample, \\*batch, \\*event)."""

    def log_prob(self, value: Tensor) -> Tensor:
        """log p(value) in nats, (\\*sample, \\*batch)."""
        return sum_rightmost(self.log_prob_per_dim(value), len(self.event_shape))


def draw(
    distribution: TorchDistribution,
    sample_shape: Sequence[int] = (),
    generator: Generator = None,
    *,
    pathwise: bool = False,
) -> Tensor:
    """Draw from any torch distribution with an explicit generator.

    Distributions that are not ours know only torch's default generator: they are drawn under a seed taken from
    ``generator``, and the default generator is left as it was. (With :class:`~unveil.distributions.noise.RowGenerators`
    such draws depend on the chunk; ours do not.)

    Args:
        distribution: What to draw from.
        sample_shape: The leading axes of the result.
        generator: Where the random numbers come from.
        pathwise: Whether the draw is reparametrised, so that gradients pass through it.

    Raises:
        ValueError: If a pathwise draw is asked of a distribution that has none.
    """
    if pathwise and not distribution.has_rsample:
        raise ValueError(
            f"{type(distribution).__name__} has no reparametrised draw, so the pathwise gradient does not exist; use a "
            "score-function gradient, for categorical variables a relaxed source or the SummedELBO; mixtures and "
            "others whose posterior is exact are fitted by inference.em.fit"
        )
    if isinstance(distribution, Distribution):
        return (distribution.rsample if pathwise else distribution.sample)(sample_shape, generator)
    if isinstance(distribution, Independent) and isinstance(distribution.base_dist, Distribution):
        return draw(distribution.base_dist, sample_shape, generator, pathwise=pathwise)
    with _seeded(generator):
        return (distribution.rsample if pathwise else distribution.sample)(Size(sample_shape))


@contextmanager
def _seeded(generator: Generator) -> Iterator[None]:
    """Torch's default generator under a seed taken from ``generator``, given back as it was."""
    stream = generator.streams[0] if isinstance(generator, RowGenerators) else generator
    if stream is None:
        yield
        return
    device = stream.device
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        # torch.manual_seed would also reseed the devices that are not given back
        default = torch.default_generator
        if device.type == "cuda":
            default = torch.cuda.default_generators[device.index or torch.cuda.current_device()]
        default.manual_seed(int(integers(2**62, (), device, stream)))
        yield
