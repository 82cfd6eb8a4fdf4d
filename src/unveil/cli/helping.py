"""Pages of help, made of the records' annotations and docstrings; torch is not imported for them."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator
from dataclasses import MISSING, fields

from unveil.cli.documented import arguments, summary
from unveil.cli.line import SHORT
from unveil.cli.options import DemoOptions, EvaluateOptions, FitOptions, PartsOptions, SampleOptions

USAGE = """\
usage: unveil COMMAND [options]

Deep latent-variable models: build one, fit it to your data, and know what it has learned.

  unveil fit        fit a model to data; with no options, a VAE to 1,797 handwritten digits
  unveil evaluate   evaluate a fitted model: bound, log-likelihood, rate, distortion, information
  unveil sample     draw from a fitted model
  unveil demo       watch how models are fitted, in pictures
  unveil parts      list the parts that models are made of, or the options of one

`unveil COMMAND --help` shows a command's options; `unveil --version` the version.
"""

FIT = """\
usage: unveil fit [--data DATA] [--model MODEL] [--out FOLDER] [options]

Fit a model to data, evaluate it, and write everything to a folder.
"""

AFTER_FIT = """
  --config FILE           A file of these settings, such as a run's config.yaml; flags win.

The options of a part follow its name:

  unveil fit --model.prior VampPrior --model.prior.components 500
  unveil fit --objective BetaELBO --objective.beta Linear --objective.beta.epochs 20
  unveil parts VampPrior  shows what these are
"""

EVALUATE = """\
usage: unveil evaluate RUN [--split SPLIT] [--particles K] [--json] [options]

Evaluate a fitted model on data that it has not seen.
"""

SAMPLE = """\
usage: unveil sample RUN [-n SIZE] [--out FILE] [options]

Draw from a fitted model: a picture for images, numbers otherwise.
"""

DEMO = """\
usage: unveil demo [DEMO] [--out FOLDER]

Watch how models are fitted: writes pictures.
"""

PARTS = """\
usage: unveil parts [NAME]

List the parts that models are made of, or one part's options.
"""

PAGES = {
    "fit": (FIT, FitOptions, AFTER_FIT),
    "evaluate": (EVALUATE, EvaluateOptions, ""),
    "sample": (SAMPLE, SampleOptions, ""),
    "demo": (DEMO, DemoOptions, ""),
    "parts": (PARTS, PartsOptions, ""),
}
POSITIONAL = {"evaluate": "run", "sample": "run", "demo": "demo", "parts": "name"}
VALUES = {"int": "N", "float": "X"}
COLUMN = 26


def page(command: str) -> str:
    """A command's page."""
    opening, record, closing = PAGES[command]
    return opening + "".join(_sections(record, POSITIONAL.get(command))) + closing


def entry(left: str, right: str) -> str:
    """Two columns, the right one wrapped to the terminal."""
    width = max(60, min(120, shutil.get_terminal_size().columns))
    lines = textwrap.wrap(right, width - COLUMN) or [""]
    first = f"  {left}".ljust(COLUMN)
    if len(left) > COLUMN - 4:
        first = f"  {left}\n{' ' * COLUMN}"
    return first + f"\n{' ' * COLUMN}".join(lines) + "\n"


def _sections(record: type, positional: str | None) -> Iterator[str]:
    """One section per record that the record is made of, the most general first; what has no flag first of all."""
    defaults = {field.name: field.default for field in fields(record)}
    classes = list(record.__mro__[:-1])
    own = {name: cls for cls in reversed(classes) for name in vars(cls).get("__annotations__", {})}
    for cls in classes if positional else reversed(classes):
        described = arguments(cls)
        yield f"\n{summary(cls).removesuffix('.')}:\n"
        for name, hint in vars(cls)["__annotations__"].items():
            if own[name] is cls:
                yield entry(_flag(name, hint, defaults[name], positional), described[name] + _default(defaults[name]))


def _flag(name: str, hint: str, default: object, positional: str | None) -> str:
    if name == positional:
        return name.upper()
    short = next((f"{letter}, " for letter, long in SHORT.items() if long == name), "")
    if hint == "bool":
        return f"{short}--{'[no-]' if default else ''}{name}"
    options = hint.split(" | ")
    return f"{short}--{name} {name.upper() if 'str' in options else VALUES.get(options[0], name.upper())}"


def _default(default: object) -> str:
    if default in (None, "", True, False, MISSING):
        return ""
    return f" [{default:g}]" if isinstance(default, float) else f" [{default}]"
