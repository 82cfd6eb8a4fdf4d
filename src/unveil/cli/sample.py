"""``unveil sample``: draws from a fitted model, as a picture or as numbers."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from unveil.cli.errors import UsageError, at_least_one, near, user_errors
from unveil.cli.helping import POSITIONAL
from unveil.cli.line import read
from unveil.cli.loaded import flag, folder_of, loaded, require_run
from unveil.cli.options import SampleOptions
from unveil.cli.screen import say
from unveil.files import replacing

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from unveil.data import Format
    from unveil.models import Model
    from unveil.variables import Variable

KINDS = (".png", ".csv", ".npz")
Array: TypeAlias = "NDArray[Any]"
AT_ONCE = 1000
COLUMNS = 16


def sample(words: list[str]) -> int:
    """Run the command.

    Returns:
        The exit status.
    """
    line = read(words, SampleOptions, POSITIONAL["sample"])
    require_run(line)
    from unveil.cli.resolve import Resolved
    from unveil.training.folder import Folder

    resolved = Resolved(SampleOptions, line, flag, trust=bool(line.get("trust")))
    options = resolved.options(SampleOptions)
    at_least_one(size=options.size)
    with user_errors(resolved.config):
        model = loaded(options.run, options.device, trust=options.trust)
        form = Folder(folder_of(options.run)).format
        path = destination(options, model, named=form is not None and bool(form.columns))
        names = [] if form is None else form.class_names
        context = contexts(options.context, model.context, names)
        drawn = draws(model, options, context)
        what = "means" if options.mean else "samples"
        if path.suffix == ".png":
            title = f"{what.capitalize()} of {type(model).__name__}, {options.run}"
            columns = 0 if context is None else len(context)
            write_picture(path, drawn, variables_of(model), columns, title, told(options, context, names))
        else:
            given = {} if context is None else {"context": context.repeat(-(-options.size // len(context)), 1)}
            given = {name: value[: options.size] for name, value in given.items()}
            arrays = numbers({**drawn, **given}, {} if options.mean else variables_of(model))
            write = write_table if path.suffix == ".csv" else write_arrays
            write(path, arrays, form)
    say(f"{options.size:,} {what} of {type(model).__name__}, {described(drawn)}: {path}")
    return 0


def variables_of(model: Model) -> dict[str, Variable]:
    """What a model observes, by name; nothing where it does not say."""
    return dict(model.x) if isinstance(model.x, Mapping) else {} if model.x is None else {"x": model.x}


def described(drawn: Mapping[str, Tensor]) -> str:
    """The names and shapes of samples."""
    return ", ".join(f"{name} of {'x'.join(map(str, value.shape[1:])) or 'scalar'}" for name, value in drawn.items())


def destination(options: SampleOptions, model: Model, *, named: bool) -> Path:
    """The file that samples go to.

    Args:
        options: What was asked for.
        model: What is drawn from.
        named: Whether the model was fitted to a table whose columns have names.

    Raises:
        UsageError: If the file is of no kind that fits.
    """
    variables = variables_of(model)
    has_images = any(variable.is_image for variable in variables.values())
    is_table = list(variables) == ["x"] and len(variables["x"].shape) == 1
    if options.out is None:
        folder = Path(options.run) if Path(options.run).is_dir() else Path()
        return folder / f"samples{'.png' if has_images else '.csv' if named and is_table else '.npz'}"
    path, got = Path(options.out), f"got {options.out!r}"
    if path.suffix not in KINDS:
        raise UsageError(f"--out: expected a .png, .csv or .npz file, {got}{near(path.suffix, KINDS)}")
    if path.suffix == ".png" and not has_images:
        raise UsageError(f"--out: expected a .npz or .csv file, since {model.x} can't be drawn as images, {got}")
    if path.suffix == ".csv" and not is_table:
        raise UsageError(f"--out: expected a .npz file, since {model.x} is no row of a table, {got}")
    if not path.parent.is_dir():
        raise UsageError(f"--out: expected a file in an existing folder, got {options.out!r}; make {path.parent} first")
    return path


def contexts(text: str | None, variable: Variable | None, names: Sequence[str] = ()) -> Tensor | None:
    """What samples are conditioned on, (rows, features): as the text says, or every class in turn.

    Args:
        text: A class by its name or number, or numbers.
        variable: What the model is conditioned on.
        names: What the classes are called.

    Raises:
        UsageError: If the text does not say what the model is conditioned on.
    """
    import torch

    if variable is None:
        if text is not None:
            raise UsageError(f"--context: expected nothing, since the model has no context, got {text!r}")
        return None
    count, classes = variable.features, variable.levels == 2
    if text is None and classes:
        return torch.eye(count)
    called = called_classes(names if classes else (), count)
    some = (
        f"({', '.join(called[:10])}{', ...' * (count > 10)})"
        if names and not names[0].isdecimal()
        else f"0..{count - 1}"
    )
    expected = f"a class {some}, or " if classes else ""
    expected += f"{count} numbers separated by commas"
    if text is None:
        raise UsageError(f"--context: expected {expected}, got nothing")
    if classes and text in called:
        return torch.eye(count)[[called.index(text)]]
    try:
        numbers = [float(number) for number in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != count or not all(map(math.isfinite, numbers)):
        raise UsageError(f"--context: expected {expected}, got {text!r}")
    return torch.tensor([numbers])


def called_classes(names: Sequence[str], count: int) -> list[str]:
    """The classes' names, or their numbers where they have none."""
    return list(names) if len(names) == count else [str(number) for number in range(count)]


def told(options: SampleOptions, context: Tensor | None, names: Sequence[str]) -> str:
    """Under which context and temperature samples were drawn, in words."""
    words = [] if options.temperature is None else [f"temperature {options.temperature:g}"]
    if options.context is not None:
        words.append(f"context {options.context}")
    elif context is not None:
        words.append(f"a column for each class: {', '.join(called_classes(names, len(context)))}")
    return "; ".join(words)


def draws(model: Model, options: SampleOptions, context: Tensor | None) -> dict[str, Tensor]:
    """The samples by variable, (size, \\*shape) each: one for each row of the context in turn, if there is one."""
    import torch

    generator = torch.Generator(model.device).manual_seed(options.seed)
    rows = 1 if context is None else len(context)
    left = math.ceil(options.size / rows)
    found: dict[str, list[Tensor]] = {}
    context = None if context is None else context.to(model.device)
    while left > 0:
        count = min(left, max(1, AT_ONCE // rows))
        drawn = model.sample(
            count, context=context, temperature=options.temperature, generator=generator, mean=options.mean
        )
        for name, value in drawn.items() if isinstance(drawn, Mapping) else [("x", drawn)]:
            found.setdefault(name, []).append(value.cpu() if context is None else value.cpu().flatten(0, 1))
        left -= count
    return {name: torch.cat(chunks)[: options.size] for name, chunks in found.items()}


def write_picture(
    path: Path, drawn: Mapping[str, Tensor], variables: Mapping[str, Variable], columns: int, title: str, note: str
) -> None:
    """Images in rows and columns: a column for each row of the context, if there are several."""
    import numpy as np

    from unveil.plots.mosaics import Mosaic, Range, as_colours, sheet
    from unveil.plots.style import write

    name = next(name for name, variable in variables.items() if variable.is_image)
    images = drawn[name]
    columns = columns if columns > 1 else min(COLUMNS, math.ceil(math.sqrt(len(images))))
    tiles = as_colours(images, Range.of(variables[name].levels, images))
    empty = np.ones((-len(tiles) % columns, *tiles.shape[1:]))
    tiles = np.concatenate([tiles, empty]).reshape(-1, columns, *tiles.shape[1:])
    write(sheet(title, note, [Mosaic("", "", tiles)]), path)


def numbers(drawn: Mapping[str, Tensor], variables: Mapping[str, Variable]) -> dict[str, Array]:
    """An array for each variable: whole numbers where the data takes levels."""
    import numpy as np

    arrays: dict[str, Array] = {}
    for name, values in drawn.items():
        levels = variables[name].levels if name in variables else None
        array = values.numpy()
        arrays[name] = array if levels is None else array.astype(np.uint8 if levels <= 256 else np.int64)
    return arrays


def write_arrays(path: Path, arrays: Mapping[str, Array], form: Format | None) -> None:
    """The arrays in an .npz file."""
    import numpy as np

    named: dict[str, Any] = dict(arrays)
    np.savez_compressed(path, **named)


def write_table(path: Path, arrays: Mapping[str, Array], form: Format | None) -> None:
    """x in the columns of a .csv file, with what it is conditioned on beside it, named as in the data."""
    x, context = arrays["x"], arrays.get("context")
    names = list(form.columns if form is not None and form.columns else (f"f{i}" for i in range(x.shape[1])))
    columns = list(x.T)
    if context is not None and form is not None and form.class_names:
        names.append("context")
        columns.append([form.class_names[code] for code in context.argmax(1)])
    elif context is not None:
        names += (form.given if form is not None else ()) or [f"context {i}" for i in range(context.shape[1])]
        columns += list(context.T)
    with replacing(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        writer.writerows(zip(*columns, strict=True))
