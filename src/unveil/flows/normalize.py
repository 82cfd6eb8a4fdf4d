"""Shift and scale each entry of a vector, or each channel of an image, by what passes: y = e^s x + t.

log|det dy/dx| = sum_i s_i, times the number of pixels.
"""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor, nn

from unveil.flows.base import Bijection
from unveil.nets import Shape


class ActNorm(Bijection):
    """y = e^s x + t, which gives the first examples that pass zero mean and unit variance (Kingma & Dhariwal 2018).

    That is done once, when the model is shown its training data (``model.initialize``, which ``uv.fit`` calls); until
    then it is the identity.

    Args:
        shape: (D,), or (channels, height, width).
        learned: Whether s and t are trained from there.
    """

    starts_from_data = True
    log_scale: Tensor
    shift: Tensor
    started: Tensor

    def __init__(self, shape: Shape, *, learned: bool = True) -> None:
        super().__init__(shape)
        each = torch.zeros(self.shape[0], *(1,) * len(self.shape[1:]))
        for name in ("log_scale", "shift"):
            if learned:
                self.register_parameter(name, nn.Parameter(each.clone()))
            else:
                self.register_buffer(name, each.clone())
        self.register_buffer("started", torch.tensor(False))
        self._waiting = False

    def begin_initialization(self) -> bool:
        """The next examples that pass decide s and t, unless others have."""
        self._waiting = not self.started
        return self._waiting

    def _forward(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """e^s x + t."""
        if self._waiting:
            mean, log_deviation = self._moments(x)
            self._start(-log_deviation, -mean * (-log_deviation).exp())
        return self.log_scale.exp() * x + self.shift, self.same_for_all(self.log_scale, x)

    def _inverse(self, y: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """e^-s (y - t)."""
        if self._waiting:  # in the inverse of a flow it is the other side that passes first
            mean, log_deviation = self._moments(y)
            self._start(log_deviation, mean)
        return (-self.log_scale).exp() * (y - self.shift), -self.same_for_all(self.log_scale, y)

    def _moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log of the standard deviation of each entry or channel; a constant one counts as of deviation 1."""
        mean, variance = moments(x, self.shape)
        deviation = variance.sqrt()
        flat = deviation <= 1e-6 * by_channel(x, self.shape).abs().amax((0, 2))
        log_deviation = torch.where(flat, 1, deviation).log()
        return mean.reshape(self.shift.shape), log_deviation.reshape(self.shift.shape)

    @torch.no_grad()
    def _start(self, log_scale: Tensor, shift: Tensor) -> None:
        self.log_scale.copy_(log_scale)
        self.shift.copy_(shift)
        self.started.fill_(True)
        self._waiting = False


class BatchNorm(Bijection):
    """y = e^gamma (x - m) / sqrt(v + eps) + beta, m and v the moments of the batch (Dinh et al. 2017).

    In evaluation they are the whole training set's, as Papamakarios et al. (2017) have it: moving averages while
    training goes on, and exact at its end, where every map sees all training rows pass (``uv.fit`` does that). In
    training the density of one row depends on the others beside it (a row that is alone has no variance, and the moving
    averages are taken), and nothing can be sampled.

    Args:
        shape: (D,), or (channels, height, width).
        momentum: The share of a batch in the moving averages.
        eps: What keeps a constant entry finite.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, shape: Shape, momentum: float = 0.1, eps: float = 1e-5) -> None:
        super().__init__(shape)
        size = self.shape[0]
        self.momentum, self.eps = momentum, eps
        self.log_gamma = nn.Parameter(torch.zeros(size))
        self.beta = nn.Parameter(torch.zeros(size))
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("variance", torch.ones(size))
        self._seen: list[tuple[int, Tensor, Tensor]] | None = None
        self._settled = False

    def _forward(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """By the batch's moments in training, by the training set's in evaluation."""
        if self._seen is not None:
            mean, variance = moments(x.double(), self.shape)
            self._seen.append((by_channel(x, self.shape).shape[0], mean, variance))
        if self.training and x.numel() > prod(self.shape[:1]):
            mean, variance = moments(x, self.shape)
            self._follow(mean.detach(), variance.detach())
        else:
            mean, variance = self.mean, self.variance
        log_scale = self.log_gamma - 0.5 * (variance + self.eps).log()
        return self._each(log_scale.exp()) * (x - self._each(mean)) + self._each(self.beta), self.same_for_all(
            log_scale, x
        )

    def _inverse(self, y: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """By the training set's moments.

        Raises:
            ValueError: In training, where there are none.
        """
        if self.training:
            raise ValueError(
                "BatchNorm: has no inverse in training, where a batch's own moments are taken; call eval() first, or "
                "use ActNorm in what is sampled in training"
            )
        log_scale = self.log_gamma - 0.5 * (self.variance + self.eps).log()
        x = self._each((-log_scale).exp()) * (y - self._each(self.beta)) + self._each(self.mean)
        return x, -self.same_for_all(log_scale, y)

    def begin_calibration(self, turn: int) -> bool:
        """Until the moments stay what they are: those of a map are right once those of all maps before it are."""
        self._settled = self._settled and turn > 0
        self._seen = None if self._settled else []
        return not self._settled

    @torch.no_grad()
    def end_calibration(self) -> None:
        """Take the moments of all that passed."""
        seen, self._seen = self._seen, None
        if not seen:  # nothing passed this way: in an inverse it is the other
            self._settled = True
            return
        counts = torch.tensor([count for count, _, _ in seen], dtype=torch.float64, device=self.mean.device)
        weights = (counts / counts.sum()).unsqueeze(1)
        means = torch.stack([mean for _, mean, _ in seen])
        mean = (weights * means).sum(0)
        variance = (weights * (torch.stack([one for _, _, one in seen]) + (means - mean).square())).sum(0)
        close = [torch.allclose(new.to(old), old) for new, old in ((mean, self.mean), (variance, self.variance))]
        self._settled = all(close)
        self.mean.copy_(mean)
        self.variance.copy_(variance)

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        self.mean.lerp_(mean, self.momentum)
        self.variance.lerp_(variance, self.momentum)

    def _each(self, value: Tensor) -> Tensor:
        """(D,) beside (..., D), or (channels,) beside (..., channels, height, width)."""
        return value.reshape(-1, *(1,) * (len(self.shape) - 1))


def by_channel(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """(rows, entries or channels, pixels)."""
    return x.reshape(-1, shape[0], prod(shape[1:]))


def moments(x: Tensor, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """The mean and variance of each entry or channel over all rows and pixels."""
    rows = by_channel(x, shape)
    mean = rows.mean((0, 2))
    return mean, (rows - mean[:, None]).square().mean((0, 2))
