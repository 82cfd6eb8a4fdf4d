"""Tables of columns, as Hugging Face Datasets holds them: images, arrays or numbers, and labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from unveil.data.messages import name_choices
from unveil.data.sources.raw import Array, RawData, RawSplit
from unveil.data.sources.roles import Roles
from unveil.hints import did_you_mean

if TYPE_CHECKING:
    from datasets import Dataset

LABELS = ("label", "labels")
PLAIN_MODES = ("1", "L", "LA", "RGB", "RGBA", "I", "I;16", "F")
DECODED_AT_ONCE = 1000


def require(module: str) -> ModuleType:
    """Import a module that only some sources need.

    Raises:
        ModuleNotFoundError: Where it is not installed; says how to install it.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        package = {"sklearn": "scikit-learn"}.get(module.partition(".")[0], module.partition(".")[0])
        raise ModuleNotFoundError(f"data: this source needs {package}; run: pip install {package}") from error


def from_datasets(name: str, tables: Mapping[str, Dataset], roles: Roles, notes: tuple[str, ...] = ()) -> RawData:
    """A source from one table a part.

    Args:
        name: What the data is called.
        tables: The parts, by name.
        roles: What columns are for; those without a role are not read, if the others have one.
        notes: What was noticed on reading.

    Raises:
        ValueError: Where there is no table, or no such column.
    """
    if not tables:
        raise ValueError(f"data ({name}): expected at least one split, got none")
    first = next(iter(tables.values()))
    roles.check(first.column_names)
    context = roles.label
    label = None if context is None and (roles.observed or roles.given) else find_label(first, context)
    tables = {part: table.select_columns(roles.needed(table.column_names, label)) for part, table in tables.items()}
    images = _of_type(first, "Image")
    unused = [column for column in first.column_names if images and column not in (images[0], label)]
    if unused:
        notes += (f"columns that are not used: {name_choices(unused)}",)
    if label is not None and context is None:
        notes += (f"column {label!r} holds labels and is no part of x; context={label!r} conditions on it",)

    def reader(part: str, table: Dataset) -> Callable[[], RawSplit]:
        where = f"data ({name}, {part!r})" if len(tables) > 1 else f"data ({name})"
        return lambda: read_table(table, label, where, with_labels=context is not None)

    return RawData(name, {part: reader(part, table) for part, table in tables.items()}, notes)


def find_label(table: Dataset, context: str | None) -> str | None:
    """The column of labels: the one that ``context`` names, else the one named so, else the only one of classes.

    Raises:
        ValueError: Where ``context`` asks for labels that are not there.
    """
    columns = table.column_names
    if context in columns:
        return context
    if context not in (None, "label"):
        hint = did_you_mean(str(context), columns)
        raise ValueError(f"context: expected 'label' or one of {name_choices(columns)}, got {context!r}{hint}")
    named = [name for name in columns if name.lower() in LABELS]
    classes = _of_type(table, "ClassLabel")
    found = named or (classes if len(classes) == 1 else [])
    if context == "label" and not found:
        raise ValueError(f"context: expected a column named 'label', got {name_choices(columns)}; name one of these")
    return found[0] if found else None


def read_table(table: Dataset, label: str | None, where: str, *, with_labels: bool) -> RawSplit:
    """A part from a table: its image column, its array column, or all its columns of numbers.

    Raises:
        ValueError: Where several columns could be x, or some columns are no numbers (named).
    """
    if with_labels and label not in table.column_names:
        raise ValueError(f"{where}: expected a column {label!r}, got {name_choices(table.column_names)}")
    if table.format["type"] == "custom":
        raise ValueError(f"{where}: expected a plain table, got one with a transform; apply it with map() instead")
    table = table.with_format(None)
    if len(table) == 0:
        raise ValueError(f"{where}: expected at least one row, got none")
    y, classes = _labels(table, label, where) if with_labels and label is not None else (None, None)
    images = _of_type(table, "Image")
    if len(images) > 1:
        raise ValueError(f"{where}: expected one column of images, got {name_choices(images)}; drop all but one")
    if images:
        return RawSplit(_decode(table, images[0], where), y, classes, decoded=True)
    columns = tuple(name for name in table.column_names if name != label)
    x = _numbers(table, list(columns), where)
    given = None if y is None or label is None else (label,)
    return RawSplit(x, y, classes, columns=columns if x.shape[1:] == (len(columns),) else None, given=given)


def _of_type(table: Dataset, kind: str) -> list[str]:
    """The columns whose feature is of this kind of Hugging Face Datasets."""
    feature = getattr(require("datasets"), kind)
    return [name for name, value in table.features.items() if isinstance(value, feature)]


def _numbers(table: Dataset, columns: list[str], where: str) -> Array:
    """Columns of numbers, (N, columns); or one column of arrays, (N, ...).

    Raises:
        ValueError: Where a column holds no numbers, or arrays stand beside other columns, or are ragged.
    """
    scalar = {name: getattr(table.features[name], "dtype", "") for name in columns}
    arrays = [name for name, value in table.features.items() if name in columns and _is_array(value)]
    words = [name for name in columns if name not in arrays and not _is_numeric(scalar[name])]
    if words or not columns:
        got = name_choices(words) if words else "none"
        drop = ",".join(words[:5])
        fix = f"leave them out with drop='{drop}', encode them, or condition on one with context='column'"
        raise ValueError(f"{where}: expected columns of numbers, got other columns: {got}; {fix}")
    if arrays and len(columns) > 1:
        raise ValueError(f"{where}: expected one column of arrays or columns of numbers, got {name_choices(columns)}")
    if arrays:
        values: Array = table.with_format("numpy")[:][arrays[0]]
        if values.dtype.kind == "O":
            raise ValueError(f"{where}: expected arrays of one shape in column {arrays[0]!r}, got ragged rows")
        return values
    return np.stack([_scalars(table, name) for name in columns], axis=1)


def _scalars(table: Dataset, column: str) -> Array:
    """A column of numbers, (N,); missing entries are NaN."""
    values = table.select_columns([column]).with_format("arrow")[:].column(column)
    numbers: Array = (values.cast("float64") if values.null_count else values).to_numpy()
    return numbers


def _labels(table: Dataset, column: str, where: str) -> tuple[Array, tuple[str, ...] | None]:
    """The labels, (N,), numbers or text, or arrays, (N, features); and the classes' names, where they are known."""
    feature = table.features[column]
    if _is_array(feature):
        return table.with_format("numpy")[:][column], None
    if _is_numeric(feature.dtype):
        names = getattr(feature, "names", None)
        return _scalars(table, column), None if names is None else tuple(names)
    if feature.dtype not in ("string", "large_string"):
        raise ValueError(f"{where}: expected numbers or text in column {column!r}, got {feature.dtype}")
    values = table[:][column]
    missing = [row for row, value in enumerate(values) if value is None]
    if missing:
        raise ValueError(f"{where}: expected a label in every row of column {column!r}, got none in row {missing[0]}")
    return np.asarray(values, dtype=np.str_), None


def _is_numeric(dtype: str) -> bool:
    """Whether a column's type is a number, a truth value, or nothing but missing entries."""
    return dtype in ("bool", "null") or dtype.startswith(("int", "uint", "float"))


def _is_array(feature: Any) -> bool:
    """Whether a column's feature is an array of numbers."""
    datasets = require("datasets")
    if isinstance(feature, datasets.Array2D | datasets.Array3D | datasets.Array4D | datasets.Array5D):
        return True
    inner = getattr(feature, "feature", None)
    return inner is not None and (_is_numeric(getattr(inner, "dtype", "")) or _is_array(inner))


def _decode(table: Dataset, column: str, where: str) -> Array:
    """The images of a column, (N, H, W) where grey or (N, C, H, W).

    Raises:
        ValueError: Where an image cannot be read, or where images differ in size or channels.
    """
    table = table.select_columns([column]).cast_column(column, require("datasets").Image(decode=True))
    images: list[Array] = []
    for start in range(0, len(table), DECODED_AT_ONCE):
        rows = range(start, min(start + DECODED_AT_ONCE, len(table)))
        try:
            images += [_pixels(image) for image in table[rows.start : rows.stop][column]]
        except Exception as error:
            row = next((row for row in rows if not _readable(table, column, row)), start)
            raise ValueError(f"{where}: cannot read the image in row {row}: {error}; remove or replace it") from error
    odd = next((row for row, image in enumerate(images) if image.shape != images[0].shape), None)
    if odd is not None:
        got = f"{images[0].shape} in row 0 and {images[odd].shape} in row {odd}"
        raise ValueError(f"{where}: expected images of one size and kind, got {got}; resize or convert them")
    stacked = np.stack(images)
    return np.moveaxis(stacked, -1, 1) if stacked.ndim == 4 else stacked


def _pixels(image: Any) -> Array:
    """The pixels of a PIL image, (H, W) or (H, W, C)."""
    if image is None:
        raise ValueError("it is missing")
    return np.asarray(image if image.mode in PLAIN_MODES else image.convert("RGB"))


def _readable(table: Dataset, column: str, row: int) -> bool:
    """Whether the image in this row can be read."""
    try:
        _pixels(table[row][column])
    except Exception:
        return False
    return True
