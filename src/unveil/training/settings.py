"""What a training run is asked to do, and what it does where nobody says."""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import ceil
from typing import Any

import torch
from accelerate import Accelerator

from unveil.config import describe
from unveil.objectives import Cosine, Schedule

STEPS = 3000
"""Steps that a fit takes where nobody says: smaller data gets more epochs."""
FEWEST_EPOCHS, MOST_EPOCHS = 10, 100
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Settings:
    """What a run is asked to do; None is settled by :meth:`plan`.

    Args:
        epochs: Passes over the training data.
        batch_size: Rows per step and process.
        lr: The learning rate: the peak of a cosine with a short warm-up, or a schedule.
        seed: Decides every random number.
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ...
        precision: Of matrix products: ``"float32"`` or ``"bfloat16"``.
        average: The decay of a moving average of the weights; 0 for none.
        clip: The largest norm of the gradient; None for no limit.
        patience: Epochs without a better validation bound after which training ends; None for never.
        compile: Whether to compile the nets.
        checkpoint_seconds: The longest time between two checkpoints.

    Raises:
        ValueError: If a number is out of range, or a device is not there.
    """

    epochs: int | None = None
    batch_size: int | None = None
    lr: float | Schedule = 1e-3
    seed: int = 0
    device: str | None = None
    precision: str = "float32"
    average: float = 0.0
    clip: float | None = None
    patience: int | None = None
    compile: bool = False
    checkpoint_seconds: float = 60.0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "patience"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name}: expected at least 1, got {value}")
        for name in ("lr", "clip"):
            value = getattr(self, name)
            if isinstance(value, int | float) and not value > 0:
                raise ValueError(f"{name}: expected a positive number, got {value}")
        if not self.checkpoint_seconds >= 0:
            raise ValueError(f"checkpoint_seconds: expected at least 0, got {self.checkpoint_seconds}")
        if self.seed < 0:
            raise ValueError(f"seed: expected a whole number of at least 0, got {self.seed}")
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision: expected one of {', '.join(PRECISIONS)}, got {self.precision!r}")
        if not 0 <= self.average < 1:
            raise ValueError(f"average: expected a decay in [0, 1), 0 for no averaging, got {self.average}")

    def plan(self, rows: int, accelerator: Accelerator) -> Plan:
        """What this comes to, with nothing left open, for that many training rows."""
        processes = accelerator.num_processes
        batch_size = self.batch_size or max(1, min(100, rows // 10))
        steps_per_epoch = max(1, ceil(rows / (batch_size * processes)))
        return Plan(
            epochs=self.epochs or min(MOST_EPOCHS, max(FEWEST_EPOCHS, round(STEPS / steps_per_epoch))),
            batch_size=batch_size,
            lr=self.lr if isinstance(self.lr, Schedule) else Cosine(self.lr),
            seed=self.seed,
            device=accelerator.device if processes > 1 else find_device(self.device),
            precision=self.precision,
            average=self.average,
            clip=self.clip,
            patience=self.patience,
            compile=self.compile,
            checkpoint_seconds=self.checkpoint_seconds,
        )


@dataclass(frozen=True)
class Plan:
    """:class:`Settings` with nothing left open."""

    epochs: int
    batch_size: int
    lr: Schedule
    seed: int
    device: torch.device
    precision: str
    average: float
    clip: float | None
    patience: int | None
    compile: bool
    checkpoint_seconds: float

    @property
    def dtype(self) -> torch.dtype:
        """The type of matrix products."""
        return PRECISIONS[self.precision]

    def deciding(self) -> dict[str, Any]:
        """What decides the result, as plain data: a run is resumed with the same."""
        silent = ("device", "compile", "checkpoint_seconds")
        return {f.name: describe(getattr(self, f.name)) for f in fields(self) if f.name not in silent}


def find_device(device: str | None) -> torch.device:
    """That device; the best there is for None.

    Raises:
        ValueError: If there is no such device here.
    """
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(device)
    except RuntimeError as error:
        raise ValueError(f"device: expected cpu, cuda or cuda:N, got {device!r}") from error
    if found.type == "cuda" and not (torch.cuda.is_available() and (found.index or 0) < torch.cuda.device_count()):
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        raise ValueError(f"device: {device} is asked for, but there are {count} CUDA devices here; use --device cpu")
    return found
