"""Arrays, tensors, (x, y) pairs and mappings of them, under names such as ``train``, ``x``, ``y_test``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unveil.data.holdout import ALIASES
from unveil.data.messages import name_choices
from unveil.data.sources.raw import Array, RawData, RawSplit
from unveil.hints import did_you_mean

ROLES = {
    "x": ("x", "data", "image", "images", "inputs", "features", "observations"),
    "y": ("y", "label", "labels", "target", "targets", "context"),
}
WHOLE = "data"


def as_array(value: Any, where: str = "data") -> Array:
    """An array from an array, a tensor (on any device) or nested lists of numbers.

    Raises:
        ValueError: Where rows are ragged.
        TypeError: Where it is nothing of the kind.
    """
    if isinstance(value, Tensor):
        if value.layout != torch.strided:
            raise TypeError(f"{where}: expected a dense tensor, got layout {value.layout}; pass value.to_dense()")
        value = value.detach().cpu()
        array: Array = (value.float() if value.dtype == torch.bfloat16 else value).numpy()
        return array
    if not isinstance(value, np.ndarray | list):
        raise TypeError(f"{where}: expected an array, a tensor or a list of rows, got {type(value).__name__}")
    if isinstance(value, np.ma.MaskedArray) and value.mask.any():
        return np.ma.filled(value.astype(np.promote_types(value.dtype, np.float32)), np.nan)  # masked is missing
    try:
        return np.asarray(value)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{where}: expected rows of one shape, got ragged rows ({error}); pad or cut them") from error


def as_part(value: Any, where: str = "data") -> RawSplit:
    """A part from x, or from a pair (x, y).

    Raises:
        TypeError: Where it is neither.
        ValueError: Where rows are ragged.
    """
    if not isinstance(value, tuple):
        return RawSplit(as_array(value, where))
    if len(value) != 2:
        raise TypeError(f"{where}: expected a pair (x, y), got a tuple of {len(value)}; name the splits in a dict")
    return RawSplit(as_array(value[0], f"{where}, x"), as_array(value[1], f"{where}, y"))


def check_context(context: str | None) -> None:
    """Refuse a context that arrays, which have no named columns, cannot have.

    Raises:
        ValueError: Where it is neither ``None`` nor ``"label"``.
    """
    if context not in (None, "label"):
        hint = did_you_mean(str(context), ["label"])
        raise ValueError(f"context: expected None or 'label' (y) for arrays, got {context!r}{hint}")


def from_keys(name: str, keys: Iterable[str], get: Callable[[str], Array]) -> RawData:
    """A source from named arrays: splits (``train``, ``test``), roles (``x``, ``y``), or both (``x_train``).

    Args:
        name: What the data is called.
        keys: The names.
        get: Reads the array of a name.

    Raises:
        ValueError: Where a name is not understood, or names do not fit together.
    """
    keys = list(keys)
    where = f"data ({name})"
    if not keys:
        raise ValueError(f"{where}: expected at least one array, got none")
    found: dict[str, dict[str, str]] = {}
    for key in keys:
        split, role = _understand(key) if len(keys) > 1 else (WHOLE, "x")
        if split is None or role in found.setdefault(split, {}):
            expected = "arrays named train, validation, test; x, y; or x_train, y_train, ..."
            raise ValueError(f"{where}: expected {expected}, got {name_choices(keys)}; rename {key!r} or leave it out")
        found[split][role] = key
    if WHOLE in found and len(found) > 1:
        raise ValueError(f"{where}: expected x and y for all rows or for every split, got both: {name_choices(keys)}")
    for roles in found.values():
        if "x" not in roles:
            raise ValueError(f"{where}: expected observations beside {roles['y']!r}, got {name_choices(keys)}")

    def reader(roles: dict[str, str]) -> Callable[[], RawSplit]:
        return lambda: RawSplit(get(roles["x"]), get(roles["y"]) if "y" in roles else None)

    return RawData(name, {split: reader(roles) for split, roles in found.items()})


def _understand(key: str) -> tuple[str | None, str]:
    """The split and the role that a name such as ``"y_train"`` means; (None, ...) where it means neither."""
    split, role = WHOLE, "x"
    for word in re.split(r"[^a-z]+", key.lower()):
        as_split = next((name for name, words in ALIASES.items() if word in words), None)
        as_role = next((name for name, words in ROLES.items() if word in words), None)
        if as_split is None and as_role is None:
            return None, role
        split, role = as_split or split, as_role or role
    return split, role
