"""The ways of fitting that ``unveil fit`` knows: by gradients, and by expectation maximisation."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from unveil.cli.errors import UsageError
from unveil.cli.options import EMOptions, FitOptions
from unveil.cli.screen import brief

if TYPE_CHECKING:
    from accelerate import Accelerator

    from unveil.data import Data
    from unveil.models import EMModel, Model
    from unveil.training import Run
    from unveil.training.folder import Folder
    from unveil.training.settings import Plan


class Way(ABC):
    """How a model is fitted.

    Args:
        options: What was asked for.
        accelerator: The processes that work together.
    """

    def __init__(self, options: FitOptions, accelerator: Accelerator) -> None:
        self.options, self.accelerator = options, accelerator

    @abstractmethod
    def rehearse(self, model: Model, data: Data) -> None:
        """Try out whether model, data and options go together."""

    @abstractmethod
    def settled(self) -> dict[str, Any]:
        """The settings that were chosen for the data, as plain data."""

    @abstractmethod
    def described(self) -> list[str]:
        """How it will be done, in words."""

    @abstractmethod
    def take_up(self, model: Model, data: Data, folder: Folder) -> None:
        """Go on from a folder's checkpoint, with a copy of the model: a ValueError says why that can't be."""

    @abstractmethod
    def run(self, model: Model, data: Data, folder: Folder) -> Run:
        """Fit."""


class ByGradient(Way):
    """Stochastic gradient ascent on an objective."""

    def __init__(self, options: FitOptions, accelerator: Accelerator, rows: int) -> None:
        super().__init__(options, accelerator)
        self.plan: Plan = options.settings().plan(rows, accelerator)

    def rehearse(self, model: Model, data: Data) -> None:
        """Make the loss of two rows, so that parts that don't go together say so."""
        import torch

        from unveil.training import Learner

        generator = torch.Generator().manual_seed(0)
        learner = Learner(model, self.options.objective, self.options.gradient).eval()
        learner(data.train.batch(slice(0, 2), generator), generator)
        learner.train()

    def settled(self) -> dict[str, Any]:
        """Epochs and rows per step."""
        return {"epochs": self.plan.epochs, "batch_size": self.plan.batch_size}

    def described(self) -> list[str]:
        """Objective, passes, precision."""
        plan, options, together = self.plan, self.options, self.accelerator.num_processes
        passes = f"{plan.epochs} epoch{'s' * (plan.epochs > 1)}"
        sizes = f"batches of {plan.batch_size}" + (f" in each of {together} processes" if together > 1 else "")
        return [
            f"{brief(options.objective)}, gradient {brief(options.gradient)}",
            f"{passes}, {sizes}, learning rate {brief(plan.lr)}",
            f"{options.precision} on {plan.device}, seed {plan.seed}",
        ]

    def take_up(self, model: Model, data: Data, folder: Folder) -> None:
        """Weights, optimizer, averages."""
        from unveil.training import Learner
        from unveil.training.fit import begin

        learner = Learner(copy.deepcopy(model), self.options.objective, self.options.gradient, self.plan.dtype)
        begin(learner, self.plan, data, self.accelerator).load(folder.checkpoint)

    def run(self, model: Model, data: Data, folder: Folder) -> Run:
        """Train."""
        from unveil.training import fit

        options = self.options
        return fit(
            model, data, objective=options.objective, gradient=options.gradient, out=folder.path,
            resume=options.resume, **vars(options.settings()),
        )  # fmt: skip


class ByEM(Way):
    """Expectation maximisation."""

    def rehearse(self, model: Model, data: Data) -> None:
        """Look whether the model is one of such data."""
        from unveil.inference.rows import Rows

        if self.accelerator.num_processes > 1:
            raise UsageError("--by: em works in one process, got several; start it without a launcher")
        Rows(data).check(_required(model))

    def settled(self) -> dict[str, Any]:
        """Nothing but what was asked for."""
        return {}

    def described(self) -> list[str]:
        """Starts, steps, tolerance."""
        from unveil.training.settings import find_device

        options = self.options
        sizes = "" if options.batch_size is None else f", stepwise, batches of {options.batch_size:,}"
        tries = f"{options.starts} starts" if options.starts is not None else "starts as the model needs"
        return [
            f"expectation maximisation{sizes}",
            f"{tries}, up to {options.steps:,} steps, until {options.tolerance:g} nats per row are left to gain",
            f"double precision on {find_device(options.device)}, seed {options.seed}",
        ]

    def take_up(self, model: Model, data: Data, folder: Folder) -> None:
        """Parameters."""
        from unveil.inference.running import take_up

        take_up(copy.deepcopy(_required(model)), folder)

    def run(self, model: Model, data: Data, folder: Folder) -> Run:
        """Climb."""
        from unveil.inference.running import run

        options = self.options
        own = {name: getattr(options, name) for name in EMOptions.__dataclass_fields__ if name != "by"}
        return run(
            _required(model), data, out=folder.path, batch_size=options.batch_size, seed=options.seed,
            device=options.device, resume=options.resume, **own,
        )  # fmt: skip


def way_of(options: FitOptions, model: Model, data: Data, accelerator: Accelerator) -> Way:
    """The way that was asked for; EM where a model can be fitted so, gradients otherwise."""
    from unveil.models import EMModel

    by = options.by or ("em" if isinstance(model, EMModel) else "gradient")
    if by not in ("em", "gradient"):
        raise UsageError(f"--by: expected em or gradient, got {by!r}")
    if by == "gradient":
        return ByGradient(options, accelerator, len(data.train))
    _required(model)
    return ByEM(options, accelerator)


def _required(model: Model) -> EMModel:
    from unveil.models import EMModel

    if not isinstance(model, EMModel):
        raise UsageError(f"--by: em fits models whose posterior is exact, got {type(model).__name__}; leave it out")
    return model
