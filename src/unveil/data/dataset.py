"""A data set: what is observed, what may be conditioned on, and its splits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch

from unveil.data.format import Format
from unveil.data.messages import name_choices
from unveil.data.split import Split
from unveil.hints import did_you_mean
from unveil.variables import Variable

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, eq=False)
class Data:
    """A data set in memory, made by :func:`unveil.data.load`.

    Args:
        name: What the data is called in reports, e.g. ``"digits"``.
        variable: The shape and support of one observation; a mapping by name where several variables are observed, None
            where nothing is said of it.
        context: The shape and support of what a model is conditioned on; ``None`` where batches have no context.
        train: The rows that a model is fitted to.
        validation: The rows that decide when to stop; ``None`` where there are none.
        test: The rows that judge; ``None`` where there are none.
        notes: What was decided on loading, and why, one sentence each.
        columns: What the entries of a row are called, where they come from a table whose columns have names.
        format: What a row is, to read other rows in the same way (``load(..., like=data.format)``); ``None`` where
            nothing is said of it.
    """

    name: str
    variable: Variable | Mapping[str, Variable] | None
    context: Variable | None
    train: Split
    validation: Split | None = None
    test: Split | None = None
    notes: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    format: Format | None = None

    @property
    def splits(self) -> dict[str, Split]:
        """The splits that are there, by name, in the order train, validation, test."""
        found = {name: getattr(self, name) for name in SPLITS}
        return {name: split for name, split in found.items() if split is not None}

    def split(self, name: str) -> Split:
        """The split of this name.

        Args:
            name: ``"train"``, ``"validation"`` or ``"test"``.

        Raises:
            ValueError: Where there is no such split; the message names those that are there.
        """
        if name not in self.splits:
            hint = did_you_mean(name, self.splits)
            raise ValueError(f"split: expected one of {name_choices(self.splits)}, got {name!r}{hint}")
        return self.splits[name]

    def to(self, device: torch.device | str) -> Data:
        """The same data on another device."""
        validation = self.validation and self.validation.to(device)
        test = self.test and self.test.to(device)
        return replace(self, train=self.train.to(device), validation=validation, test=test)

    def describe(self) -> list[str]:
        """What was decided on loading, and why, one sentence each."""
        return list(self.notes)

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name} {len(split):,}" for name, split in self.splits.items())
        context = f"; context {self.context}" if self.context else ""
        return f"Data({self.name!r}: {self.variable}{context}; {sizes})"
