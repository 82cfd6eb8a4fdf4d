"""``unveil evaluate``: a fitted model, judged on data."""

from __future__ import annotations

import json
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

from unveil.cli.configuration import CONFIG, merge, read_config
from unveil.cli.errors import UsageError, at_least_one, breakdowns, in_flags, user_errors
from unveil.cli.helping import POSITIONAL
from unveil.cli.line import Layer, read
from unveil.cli.loaded import flag, folder_of, loaded, require_run
from unveil.cli.options import DataOptions, EvaluateOptions, FitOptions
from unveil.cli.screen import block, described_model
from unveil.files import write_text

if TYPE_CHECKING:
    from unveil.data import Data, Split
    from unveil.evaluation import Evaluation
    from unveil.models import Model
    from unveil.training.folder import Folder

OF_THE_SOURCE = ("validation", "test", "split_seed")
"""How one source of data is split says nothing about another one."""


def evaluate(words: list[str]) -> int:
    """Run the command.

    Returns:
        The exit status.
    """
    line = read(words, EvaluateOptions, POSITIONAL["evaluate"])
    require_run(line)
    from unveil.cli.resolve import Resolved

    config = config_of(line)
    own = names_own_data(line, config)
    settings = with_the_runs_data(line, config, own=own)
    resolved = Resolved(EvaluateOptions, settings, flag, trust=bool(line.get("trust")))
    options = resolved.options(EvaluateOptions)
    at_least_one(particles=options.particles, limit=options.limit)
    with redirect_stdout(sys.stderr):  # whatever else is printed, standard output holds the result alone
        evaluation, heading = judged(options, resolved.config, own=own, named="data" in line)
    print(json.dumps(evaluation.to_dict(), indent=2) if options.json else f"{heading}\n\n{evaluation}")
    return 0


def config_of(line: Layer) -> Layer:
    """The settings that the run was fitted with; none where they are not there."""
    file = folder_of(str(line.get("run", ""))) / CONFIG
    return read_config(file) if file.is_file() else {}


def names_own_data(line: Layer, config: Layer) -> bool:
    """Whether the data is what the run was fitted to: its training rows must not judge."""
    own, named = str(config.get("data")), str(line.get("data"))
    return "data" not in line or named == own or Path(named).resolve() == Path(own).resolve()


def with_the_runs_data(line: Layer, config: Layer, *, own: bool) -> Layer:
    """The settings, with those of the run's own data where no others are given."""
    settings = {key: config[key] for key in DataOptions.__dataclass_fields__ if key in config}
    if not own:
        settings = {key: value for key, value in settings.items() if key not in OF_THE_SOURCE}
    return merge(settings, line)


def judged(options: EvaluateOptions, config: dict[str, object], *, own: bool, named: bool) -> tuple[Evaluation, str]:
    """The evaluation, and what was evaluated.

    Args:
        options: What was asked for.
        config: The same as plain data.
        own: Whether the data is where that was which the run was fitted to.
        named: Whether somebody named it.
    """
    from unveil.models.checking import check_kind
    from unveil.training.folder import Folder

    with user_errors(config):
        model = loaded(options.run, options.device, trust=options.trust)
        if not options.data:
            raise UsageError(f"--data: expected the data to judge by, since there is no {CONFIG} beside {options.run}")
        folder = Folder(folder_of(options.run))
        data = options.load(None if own else folder.format)
        if own and has_changed(folder, data):
            if not named:
                raise UsageError(
                    f"--data: the data of {options.run} is no longer what it was fitted to, so its held-out rows may "
                    "have been trained on; restore it, or name unseen data by --data"
                )
            data, own = options.load(folder.format), False
        check_kind(model, data.variable, data.context)
        name = options.split or judging_split(data)
        split = data.split(name)
    evaluation = judge(model, split, options)
    told = [
        block("Data", [in_flags(note, config) for note in data.describe()]),
        block("Model", described_model(model)),
        block("On", [rows_judged(len(split), name if own or len(data.splits) > 1 else "", options.limit)]),
    ]
    return evaluation, "\n".join(told)


def rows_judged(rows: int, name: str, limit: int | None) -> str:
    """The rows that judge, in words."""
    rows_of = f"{rows:,} {name} rows" if name else f"{rows:,} rows"
    return f"the {rows_of}" if limit is None or limit >= rows else f"{limit:,} of the {rows_of}"


def has_changed(folder: Folder, data: Data) -> bool:
    """Whether the data is not what the run was fitted to any more: its test rows might have been trained on."""
    return folder.fitted_to.get("train", (now := data.train.fingerprint())) != now


def judging_split(data: Data) -> str:
    """The rows that judge: test, validation where there are none, and training rows where there is nothing else."""
    return next(name for name in ("test", "validation", "train") if name in data.splits)


def judge(model: Model, split: Split, options: EvaluateOptions | FitOptions) -> Evaluation:
    """Evaluate a model on some rows, on its device, with progress.

    Raises:
        CommandError: If a number is not finite.
    """
    from unveil.evaluation import evaluate

    split = split.to(model.device)
    with breakdowns():
        return evaluate(
            model,
            split,
            particles=options.particles,
            limit=options.limit,
            naive=options.naive,
            seed=options.seed,
        )


def write_evaluation(path: Path, evaluation: Evaluation) -> None:
    """Write an evaluation as JSON."""
    write_text(path, json.dumps(evaluation.to_dict(), indent=2) + "\n")
