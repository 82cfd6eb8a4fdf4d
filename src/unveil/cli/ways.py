"""The ways of fitting that ``unveil fit`` knows: by gradients, and by turns (EM, coordinate ascent)."""

from __future__ import annotations

import copy
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from unveil.cli.errors import UsageError, near
from unveil.cli.options import FitOptions, TrainingOptions, TurnsOptions
from unveil.cli.screen import brief

if TYPE_CHECKING:
    from accelerate import Accelerator

    from unveil.data import Data
    from unveil.models import Alternating, Model
    from unveil.training import Run
    from unveil.training.folder import Folder
    from unveil.training.settings import Plan


class Way(ABC):
    """How a model is fitted.

    Args:
        options: What was asked for.
        accelerator: The processes that work together.
    """

    useless: frozenset[str] = frozenset()
    """The settings that it has no use for."""

    def __init__(self, options: FitOptions, accelerator: Accelerator) -> None:
        self.options, self.accelerator = options, accelerator

    def refuse(self, given: Iterable[str]) -> None:
        """Raise a UsageError if a setting that somebody chose would be passed over."""
        for key in given:
            if key.partition(".")[0] in self.useless:
                raise UsageError(f"--{key}: {self.name} has no use for it; leave it out{self.instead}")

    @property
    @abstractmethod
    def name(self) -> str:
        """What it is called."""

    @property
    @abstractmethod
    def instead(self) -> str:
        """What to use in the place of settings that it has no use for."""

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

    useless = frozenset(TurnsOptions.__annotations__) - {"by"}
    name, instead = "gradient ascent", ", or fit by turns where the model can be: --by em, --by cavi"

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


class ByTurns(Way):
    """Expectation maximisation, or coordinate ascent."""

    useless = frozenset({"objective", "gradient", *TrainingOptions.__annotations__}) - {"batch_size", "seed", "device"}
    instead = ": --steps and --tolerance say how long"

    def __init__(self, options: FitOptions, accelerator: Accelerator, model: Alternating, by: str) -> None:
        super().__init__(options, accelerator)
        self.model, self.by = model, by

    @property
    def name(self) -> str:
        """What it is called."""
        return WAYS[self.by]

    def rehearse(self, model: Model, data: Data) -> None:
        """Look whether the model is one of such data."""
        from unveil.inference.climbing import check
        from unveil.inference.comparing import rehearse
        from unveil.inference.rows import Rows

        options = self.options
        check(self.model, self._starts, options.steps, options.tolerance, options.batch_size)
        if self.accelerator.num_processes > 1:
            raise UsageError(f"--by: {self.by} works in one process, got several; start it without a launcher")
        rehearse(self.model, Rows(data))

    def settled(self) -> dict[str, Any]:
        """The number of starts."""
        return {"by": self.by, "starts": self._starts}

    @property
    def _starts(self) -> int:
        return self.model.starts if self.options.starts is None else self.options.starts

    def described(self) -> list[str]:
        """Starts, steps, tolerance."""
        from unveil.training.settings import find_device

        options = self.options
        sizes = "" if options.batch_size is None else f", stepwise, batches of {options.batch_size:,}"
        starts = f"{self._starts} start{'s' * (self._starts != 1)}"
        return [
            f"{self.name}{sizes}",
            f"{starts}, up to {options.steps:,} steps, until {options.tolerance:g} nats per row are left to gain",
            f"double precision on {find_device(options.device)}, seed {options.seed}",
        ]

    def take_up(self, model: Model, data: Data, folder: Folder) -> None:
        """Parameters."""
        from unveil.inference.running import take_up

        take_up(copy.deepcopy(self.model), folder)

    def run(self, model: Model, data: Data, folder: Folder) -> Run:
        """Climb."""
        from unveil.inference.climbing import Trouble
        from unveil.inference.running import run

        options = self.options
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Trouble)  # what is printed of the run tells it
            return run(
                self.model, data, out=folder.path, starts=self._starts, steps=options.steps,
                tolerance=options.tolerance, batch_size=options.batch_size, seed=options.seed, device=options.device,
                resume=options.resume,
            )  # fmt: skip


WAYS = {"em": "expectation maximisation", "cavi": "coordinate ascent", "gradient": "gradient ascent"}


def way_of(options: FitOptions, model: Model, data: Data, accelerator: Accelerator) -> Way:
    """The way that was asked for; by turns where a model can be fitted so, by gradients otherwise."""
    from unveil.models import Alternating, EMModel

    turns = "em" if isinstance(model, EMModel) else "cavi" if isinstance(model, Alternating) else None
    by = options.by or turns or "gradient"
    if by not in WAYS:
        raise UsageError(f"--by: expected one of {', '.join(WAYS)}, got {by!r}{near(by, WAYS)}")
    if by == "gradient":
        return ByGradient(options, accelerator, len(data.train))
    if not isinstance(model, Alternating) or by != turns:
        fits = "a model whose posterior is exact" if by == "em" else "a Bayesian model of conjugate parts"
        raise UsageError(f"--by: {by} fits {fits}, which a {type(model).__name__} is not; leave --by out")
    return ByTurns(options, accelerator, model, by)
