"""Which rows are train, validation and test.

A split is a part that the source already has, or rows held out of the training part: its last ones, or some drawn by
a seed. Rows held out leave the training part, so no row is in two splits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unveil.data.messages import count_rows, name_choices
from unveil.hints import did_you_mean

Choice = int | float | str | None
"""How a caller asks for a split: a part's name, ``"last:10000"``, ``"none"``, a count, a fraction, or the default."""

ALIASES = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing"),
}
DEFAULT_SHARE = 0.1


@dataclass(frozen=True)
class Existing:
    """A part of the source, as it is."""

    part: str

    def __str__(self) -> str:
        return f"the source's own {self.part!r}"


@dataclass(frozen=True)
class HeldOut:
    """Rows taken out of the training part.

    Args:
        share: A count of rows (int), or a fraction of the training part's rows (float).
        last: Whether they are the last rows, and not drawn by the seed.
    """

    share: int | float
    last: bool = False

    def count(self, total: int) -> int:
        """The number of rows, at least 1, out of ``total``."""
        return self.share if isinstance(self.share, int) else max(1, round(self.share * total))


Rule = Existing | HeldOut | None
"""Where a split's rows come from; ``None`` where there is no such split."""


@dataclass(frozen=True)
class SplitPlan:
    """Where the rows of each split come from."""

    train: str
    validation: Rule
    test: Rule

    @property
    def parts(self) -> list[str]:
        """The parts of the source that are read, the training part first."""
        return [self.train, *(rule.part for rule in (self.validation, self.test) if isinstance(rule, Existing))]


def find_part(split: str, parts: Sequence[str]) -> str | None:
    """The source's part that plays the role of this split, e.g. ``"val"`` for validation."""
    return next((part for part in parts if part.lower() in ALIASES[split]), None)


def plan_splits(parts: Sequence[str], validation: Choice, test: Choice) -> SplitPlan:
    """Decide where each split comes from.

    Args:
        parts: The names of the source's parts.
        validation: As :func:`unveil.data.load` takes it.
        test: As :func:`unveil.data.load` takes it.

    Raises:
        ValueError: Where a choice cannot be read, names no part, or names one that another split uses.
    """
    train = parts[0] if len(parts) == 1 else find_part("train", parts)
    if train is None:
        raise ValueError(f"data: expected a part named 'train', got {name_choices(parts)}; rename one of them")
    asked = {
        split: _read_choice(split, choice, parts)
        for split, choice in (("validation", validation), ("test", test))
        if choice is not None
    }
    _refuse_reuse({"train": Existing(train), **asked})
    taken = [train, *(rule.part for rule in asked.values() if isinstance(rule, Existing))]
    free = [part for part in parts if part not in taken]
    alone = len(parts) == 1
    rules = {"validation": _default("validation", free, HeldOut(DEFAULT_SHARE))}
    rules["test"] = _default("test", free, HeldOut(DEFAULT_SHARE) if alone else None)
    return SplitPlan(train, **(rules | asked))


def _default(split: str, free: Sequence[str], otherwise: Rule) -> Rule:
    """The part of the source that plays the role of this split, where one is free."""
    part = find_part(split, free)
    return otherwise if part is None else Existing(part)


def _refuse_reuse(rules: dict[str, Rule]) -> None:
    """Refuse a part that two splits use."""
    users: dict[str, str] = {}
    for split, rule in rules.items():
        if not isinstance(rule, Existing):
            continue
        if rule.part in users:
            raise ValueError(
                f"{split}: expected rows that no other split uses, got {rule}, which {users[rule.part]} uses; pass a "
                "count or a fraction to hold rows out of train"
            )
        users[rule.part] = split


def _read_choice(split: str, choice: str | int | float, parts: Sequence[str]) -> Rule:
    """What a caller's choice for a split means."""
    if isinstance(choice, str):
        return _read_name(split, choice, parts)
    if isinstance(choice, int) and not isinstance(choice, bool) and choice >= 1:
        return HeldOut(choice)
    if isinstance(choice, float) and 0 < choice < 1:
        return HeldOut(choice)
    expected = "a fraction between 0 and 1, a count of at least 1, a split's name, 'last:N' or 'none'"
    raise ValueError(f"{split}: expected {expected}, got {choice!r}")


def _read_name(split: str, choice: str, parts: Sequence[str]) -> Rule:
    """What a caller's text for a split means."""
    if choice in parts:
        return Existing(choice)
    if choice == "none":
        return None
    word, _, number = choice.partition(":")
    if word == "last":
        if not number.isdecimal() or int(number) < 1:
            raise ValueError(f"{split}: expected 'last:N' with a count N, e.g. 'last:10000', got {choice!r}")
        return HeldOut(int(number), last=True)
    part = find_part(split, parts) if choice in ALIASES[split] else None
    if part is None:
        named = f"one of {name_choices(parts)}, " if len(parts) > 1 else ""
        expected = f"{named}'last:N', 'none', a count or a fraction"
        raise ValueError(f"{split}: expected {expected}, got {choice!r}{did_you_mean(choice, [*parts, 'none'])}")
    return Existing(part)


def divide(total: int, plan: SplitPlan, seed: int) -> dict[str, NDArray[np.int64]]:
    """The rows of the training part that each split gets; "train" keeps the rest. Each in ascending order.

    Last rows are taken before rows that are drawn, and test before validation, so that what is asked of the validation
    rows never changes which test rows are drawn.

    Args:
        total: The number of rows of the training part.
        plan: Where each split comes from.
        seed: The seed of the draw.

    Raises:
        ValueError: Where no row would be left to train on.
    """
    rules = {"test": plan.test, "validation": plan.validation}
    wanted = {name: rule for name, rule in rules.items() if isinstance(rule, HeldOut)}
    counts = {name: rule.count(total) for name, rule in wanted.items()}
    if sum(counts.values()) >= total:
        asked = " and ".join(f"{count:,} for {name}" for name, count in counts.items())
        raise ValueError(
            f"{' and '.join(counts)}: expected to leave at least 1 of {count_rows(total)} to train on, got {asked}; "
            "hold out fewer, or pass 'none'"
        )
    generator = np.random.default_rng(seed)
    rest, divided = np.arange(total), {}
    for name in sorted(wanted, key=lambda name: not wanted[name].last):
        order = rest if wanted[name].last else generator.permutation(rest)
        rest, divided[name] = np.sort(order[: -counts[name]]), np.sort(order[-counts[name] :])
    return {"train": rest, **divided}
