"""All that a training run is at one moment, in one file that is written whole or not at all."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from unveil.models.saving import fill, read_tensors, write_tensors
from unveil.training.averaging import Average
from unveil.training.learner import MONITORED, Learner


@dataclass
class Counters:
    """The numbers of a run.

    Args:
        step: Optimizer steps taken.
        seen: Examples of this process in the epoch so far.
        best: The best validation bound so far, in nats per example.
        best_step: When that was.
        seconds: How long training has taken, all sittings together.
        finished: Whether the run has ended by itself.
    """

    step: int = 0
    seen: int = 0
    best: float = float("-inf")
    best_step: int = 0
    seconds: float = 0.0
    finished: bool = False


class State:
    """A run's weights, optimizer, averages, best weights and counters.

    There is no generator: rows and noise are functions of the seed and the step.

    Args:
        learner: Model, objective and gradient.
        optimizer: Its optimizer.
        average: The moving average of the model's weights.
        settings: What the run was asked to do, as plain data: a checkpoint of another run is refused.
    """

    def __init__(
        self,
        learner: Learner,
        optimizer: Optimizer,
        average: Average,
        settings: dict[str, Any],
    ) -> None:
        self.learner, self.optimizer, self.average = learner, optimizer, average
        self.settings = settings
        self.counters = Counters()
        self.sums = torch.zeros(len(MONITORED), dtype=torch.float64)
        self.best: dict[str, Tensor] = {}

    def add(self, monitored: Tensor, examples: int) -> None:
        """Add what a step measured to the sums of the epoch."""
        self.sums = self.sums.to(monitored.device) + monitored
        self.counters.seen += examples

    def take_means(self) -> dict[str, float]:
        """The epoch's means of what was measured; the sums start anew."""
        means = dict(zip(MONITORED, (self.sums / self.counters.seen).tolist(), strict=True))
        self.sums, self.counters.seen = torch.zeros(len(MONITORED), dtype=torch.float64), 0
        return means

    def keep_best(self, value: float) -> None:
        """Note that the model as it stands is the best so far."""
        self.counters.best, self.counters.best_step = value, self.counters.step
        self.best = {name: tensor.detach().clone() for name, tensor in self.learner.model.state_dict().items()}

    def require_sound(self) -> None:
        """Raise a FloatingPointError if a weight is NaN or infinite."""
        named = self.learner.named_parameters()
        if bad := [name for name, tensor in named if not tensor.isfinite().all()]:
            raise FloatingPointError(
                f"the weights {', '.join(bad[:3])} are not finite after step {self.counters.step}; lower the learning "
                "rate, or clip gradients (clip=1)"
            )

    def save(self, path: Path) -> None:
        """Write everything.

        Raises:
            FloatingPointError: If a weight is NaN: a checkpoint must be good.
        """
        weights = self.learner.state_dict()
        self.require_sound()
        tensors = {
            **_prefixed("learner", weights),
            **_prefixed("optimizer", _optimizer_tensors(self.optimizer)),
            **_prefixed("average", self.average.tensors()),
            **_prefixed("best", self.best),
        }
        shared = {name: tensor.cpu().clone() for name, tensor in tensors.items()}
        write_tensors(
            path, shared, {"counters": asdict(self.counters), "sums": self.sums.tolist(), "settings": self.settings}
        )

    def load(self, path: Path) -> None:
        """Take up what :meth:`save` wrote.

        Raises:
            ValueError: If the file is damaged, or of a run with another model or other settings.
        """
        tensors, header = read_tensors(path)
        if "counters" not in header:
            raise ValueError(f"{path}: is not a checkpoint of a training run")
        _same_settings(path, header["settings"], self.settings)
        fill(self.learner, _unprefixed("learner", tensors), path)
        _restore_optimizer(self.optimizer, _unprefixed("optimizer", tensors))
        self.average.restore(_unprefixed("average", tensors))
        device = self.learner.model.device
        self.best = {name: tensor.to(device) for name, tensor in _unprefixed("best", tensors).items()}
        self.counters = Counters(**header["counters"])
        self.sums = torch.tensor(header["sums"], dtype=torch.float64)


def read_counters(path: Path) -> Counters:
    """The counters of a checkpoint."""
    return Counters(**read_tensors(path)[1]["counters"])


def _prefixed(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}/{name}": tensor for name, tensor in tensors.items()}


def _unprefixed(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    start = f"{prefix}/"
    return {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}


def _optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    state = optimizer.state_dict()["state"]
    return {f"{i}/{key}": torch.as_tensor(value) for i, entries in state.items() for key, value in entries.items()}


def _restore_optimizer(optimizer: Optimizer, tensors: dict[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        i, _, key = name.partition("/")
        state.setdefault(int(i), {})[key] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _same_settings(path: Path, saved: dict[str, Any], asked: dict[str, Any]) -> None:
    different = sorted(key for key in {*saved, *asked} if saved.get(key) != asked.get(key))
    if different:
        key = different[0]
        raise ValueError(
            f"{path}: is a checkpoint of another run: {', '.join(different)} differ ({key} was {saved.get(key)!r}, is "
            f"{asked.get(key)!r}); resume with the same settings, or start anew with overwrite or in another folder"
        )
