"""Files: NumPy's .npz and .npy, and tables in .csv and .parquet. Nothing is ever unpickled."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from unveil.data.messages import name_choices
from unveil.data.sources.arrays import check_context, from_keys
from unveil.data.sources.raw import Array, RawData
from unveil.data.sources.roles import Roles
from unveil.data.sources.tables import from_datasets, require
from unveil.hints import did_you_mean

TAB = "\t"
COUNTED = 3
"""A first line 0, 1, ... of more numbers than these counts the columns, whatever they hold."""
MAGIC = (b"\x93NUMPY", b"PK\x03\x04", b"PK\x05\x06")
DAMAGED = (ValueError, EOFError, OSError, MemoryError, KeyError, NotImplementedError, zipfile.BadZipFile, zlib.error)
NO_PICKLE = "pickled data is never opened, since opening it can run code; save plain arrays with numpy.savez"


def from_file(path: Path, roles: Roles) -> RawData:
    """Read a file of data.

    Args:
        path: An existing file.
        roles: What columns are for.

    Raises:
        ValueError: Where the file is empty, damaged, of an unknown kind, or holds pickled data.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        fix = NO_PICKLE if path.suffix.lower() in (".pkl", ".pickle", ".pt", ".pth") else "convert it to one of these"
        expected = f"a file ending in {name_choices(READERS)}, or a folder"
        raise ValueError(f"data: expected {expected}, got {str(path)!r}; {fix}")
    try:
        with path.open("rb") as file:
            head = file.read(8)
    except OSError as error:
        raise ValueError(f"data: cannot read {str(path)!r}: {error.strerror or error}") from error
    if not head:
        raise ValueError(f"data: expected a file with data, got {str(path)!r}, which is empty")
    return reader(path, head, roles)


def _from_numpy(path: Path, head: bytes, roles: Roles) -> RawData:
    """A source from an .npy or .npz file."""
    check_context(roles.context)
    if not head.startswith(MAGIC):
        raise ValueError(f"data: expected NumPy's file format, got {str(path)!r}, which is not; {NO_PICKLE}")
    try:
        with path.open("rb") as file:
            opened = np.load(file, allow_pickle=False)
            keys = [] if isinstance(opened, np.ndarray) else list(opened.files)
    except DAMAGED as error:
        raise _damaged(path, error) from error
    if isinstance(opened, np.ndarray):
        return from_keys(path.stem, ["x"], lambda key: opened)
    return from_keys(path.stem, keys, lambda key: _member(path, key))


def _member(path: Path, key: str) -> Array:
    """One array of an .npz file."""
    try:
        with path.open("rb") as file:
            array: Array = np.load(file, allow_pickle=False)[key]
            return array
    except DAMAGED as error:
        raise _damaged(path, error, f", array {key!r}") from error


def _damaged(path: Path, error: BaseException, place: str = "") -> ValueError:
    """The message for a NumPy file that holds pickled objects, or is damaged."""
    if "pickle" in str(error).lower():
        return ValueError(f"data: expected plain numbers in {str(path)!r}{place}, got Python objects; {NO_PICKLE}")
    cause = str(error).partition("\n")[0] or type(error).__name__
    return ValueError(f"data: cannot read {str(path)!r}{place}: it is damaged or incomplete ({cause}); save it again")


def _from_csv(path: Path, head: bytes, roles: Roles) -> RawData:
    """A source from a table of comma-separated values, with or without a line of column names."""
    datasets, csv = require("datasets"), require("pyarrow.csv")
    try:
        table = csv.read_csv(path)
        comma = next((mark for mark in (";", TAB) if table.num_columns == 1 and mark in table.column_names[0]), ",")
        parse = csv.ParseOptions(delimiter=comma)
        table = table if comma == "," else csv.read_csv(path, parse_options=parse)
        counted = _counts(table)
        nameless = all(_is_number(name) for name in table.column_names) and not counted
        if nameless:
            named = csv.ReadOptions(autogenerate_column_names=True)
            table = csv.read_csv(path, read_options=named, parse_options=parse)
    except (ValueError, OSError) as error:
        raise _unreadable(path, "comma-separated values", error) from error
    if len(set(table.column_names)) < table.num_columns:
        raise ValueError(f"data: expected columns of different names in {str(path)!r}, got {table.column_names}")
    notes: tuple[str, ...] = ()
    if nameless:
        notes += ("the first line holds numbers: it is a row, and the columns are called f0, f1, ...",)
    if counted:
        notes += ("the first line counts 0, 1, ...: it is taken for the columns' names, and is no row",)
    if comma != ",":
        notes += (f"columns are separated by {'tabs' if comma == TAB else 'semicolons'}",)
    return from_datasets(path.stem, {"data": datasets.Dataset(table)}, roles, notes)


def _from_parquet(path: Path, head: bytes, roles: Roles) -> RawData:
    """A source from one Parquet file."""
    datasets, parquet = require("datasets"), require("pyarrow.parquet")
    try:
        table = parquet.read_table(path)
    except (ValueError, OSError) as error:
        raise _unreadable(path, "Parquet", error) from error
    kept = [name for name in table.column_names if not name.startswith("__index_level_")]
    return from_datasets(path.stem, {"data": datasets.Dataset(table.select(kept))}, roles)


def _unreadable(path: Path, kind: str, error: BaseException) -> ValueError:
    """The message for a table that cannot be read."""
    cause = str(error).partition("\n")[0]
    return ValueError(f"data: cannot read {str(path)!r} as {kind} ({cause}); check it, or save it again")


def _counts(table: Any) -> bool:
    """Whether names that are numbers are those that tables get by default, 0, 1, ..., rather than a row of data."""
    names = list(table.column_names)
    fractions = all(str(kind) == "double" for kind in table.schema.types)
    return names == [str(i) for i in range(len(names))] and (fractions or len(names) > COUNTED)


def _is_number(text: str) -> bool:
    """Whether a text is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


READERS: dict[str, Callable[[Path, bytes, Roles], RawData]] = {
    ".npz": _from_numpy,
    ".npy": _from_numpy,
    ".csv": _from_csv,
    ".tsv": _from_csv,
    ".parquet": _from_parquet,
}


def missing(path: Path) -> FileNotFoundError:
    """The message for a path that is not there, with the nearest name that is."""
    beside = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
    hint = did_you_mean(path.name, beside)
    return FileNotFoundError(f"data: expected an existing file or folder, got {str(path)!r}, which is not there{hint}")
