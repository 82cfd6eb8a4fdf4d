"""Any source becomes a data set: read it, decide what it holds, part its rows, and say what was decided."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from unveil.data.binarize import binarized, check_convention
from unveil.data.context import find_encoding
from unveil.data.dataset import SPLITS, Data
from unveil.data.format import Format, in_order
from unveil.data.holdout import Choice, Existing, HeldOut, SplitPlan, divide, plan_splits
from unveil.data.messages import count_rows, name_choices
from unveil.data.sources import RawData, RawSplit, Roles, read
from unveil.data.split import Split
from unveil.data.support import Support, as_variable, check_support, find_support
from unveil.variables import Batch, Variable

FEW_VALUES = 10
"""A column of real numbers that holds no more values than these is told of."""
NUMBERS = {2: "two", 3: "three"}
GLANCE = 1000
"""So many rows mostly tell that a column holds many values: sorting all would take seconds where there are millions."""


def load(
    source: Any = None,
    *,
    validation: Choice = None,
    test: Choice = None,
    binarize: str | None = None,
    context: str | None = None,
    target: str | None = None,
    real: bool = False,
    drop: str | None = None,
    missing: str = "refuse",
    like: Format | None = None,
    seed: int = 0,
) -> Data:
    """Load a data set from any source, in memory.

    Whether entries are binary, levels 0..L-1 or real is decided from the training part. Rows of images are
    (channels, height, width): grey images (N, H, W) get one channel, and channels that come last are moved first.

    Args:
        source: One of

            * ``None`` or ``"digits"``: scikit-learn's 1,797 digits of 17 grey levels;
            * a path: ``.npz`` (arrays named train, validation, test; or x, y; or x_train, y_train, ...), ``.npy``, a
              table ``.csv`` or ``.parquet`` (columns of numbers), or a folder in the Hugging Face hub's layout;
            * a name on the hub, e.g. ``"ylecun/mnist"``;
            * an array, a tensor, a pair (x, y), a dict of splits, a ``datasets.Dataset`` or ``DatasetDict``;
            * a :class:`Data`, which is returned as it is.
        validation: Where validation rows come from: the name of a part; a fraction or a count of training rows,
            drawn by the seed; ``"last:10000"``, the last training rows; ``"none"``. By default the source's own, else a
            tenth of the training rows.
        test: The same for test rows. By default the source's own, else a tenth where the source is a single table.
        binarize: ``None``, ``"threshold"``, ``"fixed_test"`` or ``"redrawn_test"`` (see :mod:`unveil.data.binarize`).
        context: What to condition on: ``"label"``, or the name of a table's column. Labels become one-hot vectors,
            vectors of real numbers stay as they are, and so do several columns of numbers, ``"age,income"``.
        target: Which of a table's columns are x, where not all are: the others are conditioned on, unless ``context``
            says which are (regression: ``target="price"``).
        real: Whether to take whole numbers for real ones: ages, ratings, prices.
        drop: Columns of a table to leave out, separated by commas.
        missing: What NaN is: ``"refuse"`` for a mistake, ``"mask"`` for an entry that is missing and shall be
            marginalised.
        like: What a row is (:attr:`Data.format`), for rows that come to a model which was fitted before: levels,
            classes and the order of columns are then those, and no rows are held out unless asked for.
        seed: The seed that draws the rows held out.

    Returns:
        The data, whose :meth:`Data.describe` says what was decided and why.

    Raises:
        FileNotFoundError: Where a path is not there.
        ValueError: Where the source cannot be read (damaged, empty, pickled, ragged), holds NaN or infinity, does not
            fit the options, or where validation or test hold values that the training part shows to be impossible.
        TypeError: Where the source is of no kind that can be read, or holds no numbers.
        ModuleNotFoundError: Where the source needs a package that is not installed.

    Example:
        >>> load(np.eye(10), validation=2, test="none")
        Data('array': 10, binary; train 8, validation 2)
    """
    if isinstance(source, Data):
        return _as_it_is(
            source, validation=validation, test=test, binarize=binarize, context=context, target=target, drop=drop,
            real=real or None,
        )  # fmt: skip
    check_convention(binarize)
    _check_seed(seed)
    _check_missing(missing, binarize)
    if real and binarize is not None:
        raise ValueError(f"real: expected False where grey values are binarized, got True and binarize={binarize!r}")
    roles = Roles(context, target, drop)
    origin = read(source, roles)
    if like is not None and len(origin.parts) == 1:
        validation, test = (choice if choice is not None else "none" for choice in (validation, test))
    plan = plan_splits(list(origin.parts), validation, test)
    parts = {
        name: roles.parted(origin.read(name, mark_missing=missing == "mask"), origin.where(name)) for name in plan.parts
    }
    where = origin.where(plan.train)
    train = parts[plan.train]
    if like is not None:
        train = parts[plan.train] = in_order(train, like.columns, like.given, where)
    context = context or target  # what is no target is conditioned on
    form = _found(train, where, context, real=real) if like is None else _held_to(like, train, where, context)
    support, encoding = form.support, form.encoding
    rows = divide(len(train.x), plan, seed)
    stored = {name: _store(origin, name, part, train, form) for name, part in parts.items()}
    splits = _assemble(stored, plan, rows)
    notes = [_what(origin, train, support), _who(origin, plan, splits, seed)]
    notes += [*_gaps(splits["train"], where, refuse=like is None), *_degenerate(splits["train"], train), *origin.notes]
    notes += [f"context: {encoding}"] if encoding else _unused_labels(train)
    variable = as_variable(train.x, support)
    if binarize is not None:
        splits, sentence = binarized(splits, support.levels, binarize)
        variable = Variable(variable.shape, levels=2)
        notes.append(sentence)
    return Data(
        name=origin.name,
        variable=variable,
        context=encoding.variable if encoding else None,
        train=splits["train"],
        validation=splits.get("validation"),
        test=splits.get("test"),
        notes=tuple(notes),
        columns=train.columns or (),
        format=form,
    )


def _as_it_is(data: Data, **options: Choice) -> Data:
    """Data that is loaded already; refuses options that it cannot follow any more."""
    asked = [name for name, value in options.items() if value is not None]
    if asked:
        raise ValueError(f"{asked[0]}: expected no option for data that is loaded already; pass it to the first load")
    return data


def _check_seed(seed: int) -> None:
    """Refuse a seed that is no whole number of at least 0."""
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ValueError(f"seed: expected a whole number of at least 0, got {seed!r}")


def _check_missing(missing: str, binarize: str | None) -> None:
    """Refuse what is no way to treat missing entries."""
    if missing not in ("refuse", "mask"):
        raise ValueError(f"missing: expected 'refuse' or 'mask', got {missing!r}")
    if missing == "mask" and binarize is not None:
        raise ValueError("missing: expected 'refuse' where grey values are binarized, got 'mask'")


def _found(train: RawSplit, where: str, context: str | None, *, real: bool) -> Format:
    """What a row is, decided from the training part."""
    encoding = None if context is None else find_encoding(train, where)
    support = Support(None, 1, "as asked") if real else find_support(train.x, decoded=train.decoded)
    return Format(train.x.shape[1:], support, train.columns or (), encoding)


def _held_to(like: Format, train: RawSplit, where: str, context: str | None) -> Format:
    """What a row is, as it was decided before; refuses rows that are something else."""
    if train.x.shape[1:] != like.shape:
        raise ValueError(
            f"{where}: expected rows of shape {like.shape} as in the data that the model was fitted to, got "
            f"{train.x.shape[1:]}; take such data"
        )
    if (context is None) != (like.encoding is None):
        expected = "none" if like.encoding is None else like.encoding
        raise ValueError(f"context: expected {expected}, as the model was fitted with, got {context or 'none'}")
    form = replace(like, support=like.support_of(train.x))
    check_support(train.x, form.support, where)
    return form


def _gaps(train: Split, where: str, *, refuse: bool) -> list[str]:
    """The sentence on missing entries of the training rows, where there are any."""
    mask = train.stored.mask
    if not isinstance(mask, torch.Tensor):
        return []
    empty = (~mask.flatten(1).any(0)).nonzero().flatten().tolist()
    if empty and refuse:
        raise ValueError(
            f"{where}: expected an observed number in every column of the training rows, got none in {empty[:5]}; drop "
            "these columns"
        )
    count, total = int((~mask).sum()), mask.numel()
    return [f"{count:,} of {total:,} entries of the training rows are missing ({count / total:.1%}); marginalised"]


def _degenerate(train: Split, part: RawSplit) -> list[str]:
    """The sentence on columns of a table of real numbers whose density knows no limit."""
    x = train.stored.x
    if not isinstance(x, torch.Tensor) or not x.is_floating_point() or x.dim() != 2 or len(x) < 2:
        return []
    names = part.columns or tuple(f"column {i}" for i in range(x.shape[1]))
    most = min(FEW_VALUES, len(x) // 10)
    counts = [_distinct(column, most) for column in x.mT]
    said = []
    for count in sorted(set(counts)):
        if count <= most:
            found = [name for name, values in zip(names, counts, strict=True) if values == count]
            what = "a single value" if count == 1 else f"{NUMBERS.get(count, str(count))} values only"
            shown = ", ".join(found[:5]) + ", ..." * (len(found) > 5)
            said.append(
                f"{shown}: {what} among real numbers, whose density there grows without limit: log-likelihoods say "
                "nothing about the other columns; leave it out, or model it apart"
            )
    return said


def _distinct(column: torch.Tensor, most: int) -> int:
    """How many values a column holds; some number above ``most`` where its first rows hold more than that already."""
    first = len(column[:GLANCE].unique())
    return first if first > most else len(column.unique())


def _store(origin: RawData, name: str, part: RawSplit, train: RawSplit, form: Format) -> Batch:
    """All rows of a part as tensors, checked against the training part."""
    where = origin.where(name)
    support, encoding = form.support, form.encoding
    part = in_order(part, train.columns, train.given, where)
    if part.x.shape[1:] != train.x.shape[1:]:
        raise ValueError(
            f"{where}: expected rows of shape {train.x.shape[1:]} as in the training part, got {part.x.shape[1:]}; "
            "resize them, or choose another part"
        )
    if part is not train:
        check_support(part.x, support, where)
    x = support.store(part.x, where)
    mask = None if part.missing is None else torch.from_numpy(~part.missing)
    if encoding is None:
        return Batch(x=x, mask=mask)
    if part.y is None:
        raise ValueError(f"{where}: expected labels to condition on as in the training part, got none")
    return Batch(x=x, context=encoding.encode(part.y, where), mask=mask)


def _assemble(stored: dict[str, Batch], plan: SplitPlan, rows: dict[str, NDArray[np.int64]]) -> dict[str, Split]:
    """The splits: parts of the source as they are, or rows of the training part."""
    splits = {}
    for name, rule in zip(SPLITS, (None, plan.validation, plan.test), strict=True):
        if isinstance(rule, Existing):
            splits[name] = Split(stored[rule.part])
        elif name in rows:
            everything = len(rows[name]) == len(stored[plan.train])
            part = stored[plan.train]
            splits[name] = Split(part if everything else part.rows(torch.from_numpy(rows[name])))
    return splits


def _what(origin: RawData, train: RawSplit, support: Support) -> str:
    """The sentence on what one observation is."""
    shape = "x".join(map(str, train.x.shape[1:]))
    kinds = {2: f"rows of {shape}", 4: f"images of {shape}"}
    kind = kinds.get(train.x.ndim, f"arrays of {shape}")
    return f"{origin.name}: {kind}, {support}: {support.reason}"


def _who(origin: RawData, plan: SplitPlan, splits: dict[str, Split], seed: int) -> str:
    """The sentence on where the rows of each split come from."""
    out_of = "" if len(origin.parts) == 1 else f" of {plan.train!r}"
    said = [f"train: {count_rows(len(splits['train']))}{out_of}"]
    for name, rule in (("validation", plan.validation), ("test", plan.test)):
        if isinstance(rule, HeldOut):
            how = f"the last rows{out_of}" if rule.last else f"held out{out_of} by seed {seed}"
            said.append(f"{name}: {count_rows(len(splits[name]))}, {how}")
        else:
            said.append(f"{name}: none" if rule is None else f"{name}: {count_rows(len(splits[name]))}, {rule}")
    unused = [part for part in origin.parts if part not in plan.parts]
    said += [f"not used: {name_choices(unused)}"] if unused else []
    return "; ".join(said)


def _unused_labels(train: RawSplit) -> list[str]:
    """The sentence on labels that are there and not conditioned on."""
    return [] if train.y is None else ["labels are there and not used; context='label' conditions on them"]
