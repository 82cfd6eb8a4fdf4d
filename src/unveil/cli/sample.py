"""``unveil sample``: draws from a fitted model, as a picture or as numbers."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from unveil.cli.errors import UsageError, at_least_one, near, user_errors
from unveil.cli.helping import POSITIONAL
from unveil.cli.line import read
from unveil.cli.options import SampleOptions
from unveil.cli.screen import say

if TYPE_CHECKING:
    from torch import Tensor

    from unveil.models import Model
    from unveil.variables import Variable

KINDS = (".png", ".npz")
AT_ONCE = 1000
COLUMNS = 16


def sample(words: list[str]) -> int:
    """Run the command.

    Returns:
        The exit status.
    """
    line = read(words, SampleOptions, POSITIONAL["sample"])
    from unveil.cli.evaluate import loaded
    from unveil.cli.resolve import Resolved

    resolved = Resolved(SampleOptions, line, "--{}".format, trust=bool(line.get("trust")))
    options = resolved.options(SampleOptions)
    at_least_one(size=options.size)
    with user_errors(resolved.config):
        model = loaded(options)
        path = destination(options, model)
        context = contexts(options.context, model.context)
        drawn = draws(model, options, context)
    if path.suffix == ".png":
        write_picture(path, drawn, model, columns=None if context is None else len(context))
    else:
        write_numbers(path, drawn, model.x, whole=not options.mean)
    say(f"{len(drawn):,} {'means' if options.mean else 'samples'} of {type(model).__name__} ({model.x}): {path}")
    return 0


def destination(options: SampleOptions, model: Model) -> Path:
    """The file that samples go to.

    Raises:
        UsageError: If the file is of no kind that fits.
    """
    is_image = model.x is not None and model.x.is_image
    if options.out is None:
        folder = Path(options.run) if Path(options.run).is_dir() else Path()
        return folder / f"samples{'.png' if is_image else '.npz'}"
    path = Path(options.out)
    if path.suffix not in KINDS:
        raise UsageError(f"--out: expected a .png or .npz file, got {options.out!r}{near(path.suffix, KINDS)}")
    if path.suffix == ".png" and not is_image:
        raise UsageError(f"--out: expected a .npz file, since {model.x} can't be drawn as images, got {options.out!r}")
    if not path.parent.is_dir():
        raise UsageError(f"--out: expected a file in an existing folder, got {options.out!r}; make {path.parent} first")
    return path


def contexts(text: str | None, variable: Variable | None) -> Tensor | None:
    """What samples are conditioned on, (rows, features): as the text says, or every class in turn.

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
    expected = f"a class 0..{count - 1}, or " if classes else ""
    expected += f"{count} numbers separated by commas"
    if text is None:
        raise UsageError(f"--context: expected {expected}, got nothing")
    if classes and text.isdecimal() and int(text) < count:
        return torch.eye(count)[[int(text)]]
    try:
        numbers = torch.tensor([[float(number) for number in text.split(",")]])
    except ValueError:
        numbers = torch.empty(1, 0)
    if numbers.shape[1] != count:
        raise UsageError(f"--context: expected {expected}, got {text!r}")
    return numbers


def draws(model: Model, options: SampleOptions, context: Tensor | None) -> Tensor:
    """The samples, (size, \\*shape): one for each row of the context in turn, if there is one."""
    import torch

    generator = torch.Generator(model.device).manual_seed(options.seed)
    rows = 1 if context is None else len(context)
    left, found = math.ceil(options.size / rows), []
    context = None if context is None else context.to(model.device)
    while left > 0:
        count = min(left, max(1, AT_ONCE // rows))
        drawn = model.sample(
            count, context=context, temperature=options.temperature, generator=generator, mean=options.mean
        )
        found.append(drawn.cpu() if context is None else drawn.cpu().flatten(0, 1))
        left -= count
    return torch.cat(found)[: options.size]


def write_picture(path: Path, drawn: Tensor, model: Model, columns: int | None) -> None:
    """Images in rows and columns: a column for each row of the context, if there are several."""
    import numpy as np

    from unveil.plots.mosaics import Mosaic, Range, as_colours, sheet
    from unveil.plots.style import write

    columns = columns if columns and columns > 1 else min(COLUMNS, math.ceil(math.sqrt(len(drawn))))
    tiles = as_colours(drawn, Range.of(model.x.levels, drawn))
    empty = -len(tiles) % columns
    tiles = np.concatenate([tiles, np.ones((empty, *tiles.shape[1:]))]).reshape(-1, columns, *tiles.shape[1:])
    write(sheet("", "", [Mosaic("", "", tiles)]), path)


def write_numbers(path: Path, drawn: Tensor, variable: Variable | None, *, whole: bool) -> None:
    """An array ``x`` in an .npz file: whole numbers where the data takes levels."""
    import numpy as np

    levels = variable.levels if variable is not None and whole else None
    array = drawn.numpy()
    np.savez_compressed(path, x=array.astype(np.uint8 if levels <= 256 else np.int64) if levels else array)
