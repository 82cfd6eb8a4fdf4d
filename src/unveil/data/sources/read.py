"""One reader for every source."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from unveil.data.sources.arrays import as_array, as_part, check_context, from_keys
from unveil.data.sources.files import READERS, from_file, missing
from unveil.data.sources.hub import from_folder, from_hub, from_object, is_object
from unveil.data.sources.raw import RawData, RawSplit
from unveil.data.sources.roles import Roles
from unveil.data.sources.tables import from_datasets, require

DIGITS = "digits"
ACCEPTED = "a path, 'digits', a hub name, an array, a tensor, a pair (x, y), a dict of splits or a datasets.Dataset"


def read(source: Any, roles: Roles) -> RawData:
    """Read any source into named parts.

    Args:
        source: As :func:`unveil.data.load` takes it.
        roles: What columns are for.

    Raises:
        FileNotFoundError: Where a path is not there.
        ValueError: Where the source cannot be read.
        TypeError: Where it is of no kind that can be.
    """
    if isinstance(source, str | os.PathLike) and str(source) != DIGITS:
        return _from_text(source, roles)
    if is_object(source):
        return from_object("dataset", source, roles)
    if isinstance(source, Mapping) and any(is_object(value) for value in source.values()):
        return _from_tables(source, roles)
    check_context(roles.context)
    if source is None or isinstance(source, str):
        return RawData(DIGITS, {"data": _digits})
    if isinstance(source, Mapping):
        return _from_mapping(source)
    if isinstance(source, np.ndarray | Tensor | list | tuple):
        name = "tensor" if isinstance(source, Tensor) else "array"
        return RawData(name, {"data": partial(as_part, source)})
    raise TypeError(f"data: expected {ACCEPTED}, got {type(source).__name__}; convert it to an array first")


def _digits() -> RawSplit:
    """scikit-learn's 1,797 digits: 8 x 8 pixels, 17 grey levels."""
    digits = require("sklearn.datasets").load_digits()
    return RawSplit(digits.images.astype(np.uint8), digits.target, tuple("0123456789"))


def _from_text(source: str | os.PathLike[str], roles: Roles) -> RawData:
    """A source from a path, or from a name on the hub where the text is no path."""
    text = os.fspath(source)
    if not text:
        raise ValueError(f"data: expected {ACCEPTED}, got an empty text")
    path = Path(text).expanduser()
    if os.path.isdir(path):  # unlike path.is_dir(), no error for a text that can be no path
        return from_folder(path, roles)
    if os.path.exists(path):
        return from_file(path, roles)
    if isinstance(source, os.PathLike) or _looks_local(text, path):
        raise missing(path)
    return from_hub(text, roles)


def _looks_local(text: str, path: Path) -> bool:
    """Whether a text that is no existing path was meant as one, and not as a name on the hub."""
    inside_a_folder = path.parent != Path() and os.path.isdir(path.parent)
    return (
        text.startswith((".", "/", "~"))
        or text.count("/") > 1
        or "\\" in text
        or path.suffix.lower() in READERS
        or inside_a_folder
    )


def _from_tables(source: Mapping[str, Any], roles: Roles) -> RawData:
    """A source from a dict of ``datasets.Dataset``."""
    table = require("datasets").Dataset
    odd = [name for name, value in source.items() if not isinstance(value, table)]
    if odd:
        raise TypeError(f"data: expected a datasets.Dataset for every split, got {type(source[odd[0]]).__name__}")
    return from_datasets("dataset", source, roles)


def _from_mapping(source: Mapping[str, Any]) -> RawData:
    """A source from a dict: split names with x or (x, y) each, or names such as those in an .npz file."""
    if any(isinstance(value, tuple) for value in source.values()):
        readers = {str(name): partial(as_part, value, f"data ({name!r})") for name, value in source.items()}
        return RawData("arrays", readers)
    named = {str(name): value for name, value in source.items()}
    return from_keys("arrays", named, lambda key: as_array(named[key], f"data ({key!r})"))
