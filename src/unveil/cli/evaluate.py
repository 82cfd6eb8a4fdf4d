"""``unveil evaluate``: a fitted model, judged on data."""

from __future__ import annotations

import json
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

from unveil.cli.configuration import CONFIG, merge, read_config
from unveil.cli.errors import UsageError, at_least_one, spoken, user_errors
from unveil.cli.helping import POSITIONAL
from unveil.cli.line import Settings, read
from unveil.cli.options import DataOptions, EvaluateOptions
from unveil.cli.screen import block, described_model

if TYPE_CHECKING:
    from unveil.data import Data
    from unveil.evaluation import Evaluation
    from unveil.models import Model

OF_THE_SOURCE = ("validation", "test", "split_seed")
"""How one source of data is split says nothing about another one."""


def evaluate(words: list[str]) -> int:
    """Run the command.

    Returns:
        The exit status.
    """
    line = read(words, EvaluateOptions, POSITIONAL["evaluate"])
    from unveil.cli.resolve import Resolved

    settings = with_the_runs_data(line)
    resolved = Resolved(EvaluateOptions, settings, "--{}".format, trust=bool(line.get("trust")))
    options = resolved.options(EvaluateOptions)
    at_least_one(particles=options.particles, limit=options.limit)
    with redirect_stdout(sys.stderr):
        evaluation, heading = judged(options, resolved.config)
    if options.json:
        print(json.dumps(evaluation.to_dict(), indent=2))
    else:
        print(f"{heading}\n\n{evaluation}")
    return 0


def with_the_runs_data(line: Settings) -> Settings:
    """The settings, with the run's own data where none is named."""
    file = configuration_of(str(line.get("run", "")))
    own = read_config(file) if file.is_file() else {}
    own = {key: own[key] for key in DataOptions.__dataclass_fields__ if key in own}
    if "data" in line:
        own = {key: value for key, value in own.items() if key not in OF_THE_SOURCE}
    if "data" not in own | line and "run" in line and Path(str(line["run"])).exists():
        raise UsageError(f"--data: expected the data to judge by, since there is no {file}")
    return merge(own, line)


def configuration_of(run: str) -> Path:
    """The configuration that belongs to a run's folder, or to a file of weights."""
    return (Path(run) if Path(run).is_dir() else Path(run).parent) / CONFIG


def judged(options: EvaluateOptions, config: dict[str, object]) -> tuple[Evaluation, str]:
    """The evaluation, and what was evaluated."""
    from unveil.evaluation import evaluate as judge
    from unveil.training.fit import check_fits

    with user_errors(config):
        model = loaded(options)
        data = options.load()
        check_fits(model, data)
        name = options.split or judging_split(data)
        split = data.split(name).to(model.device)
    with user_errors(config):
        evaluation = judge(
            model, split, particles=options.particles, limit=options.limit, seed=options.seed, progress=True
        )
    lines = [block("Data", [spoken(note, config) for note in data.describe()]), block("Model", described_model(model, {}))]
    return evaluation, "\n".join([*lines, block("Rows", [f"{name}, {len(split):,}"])])


def loaded(options: EvaluateOptions) -> Model:
    """The model, on the device that was asked for."""
    from unveil.models import load
    from unveil.training.settings import find_device

    device = find_device(options.device)
    return load(options.run, trust=options.trust).to(device)


def judging_split(data: Data) -> str:
    """The rows that judge: test, validation where there are none, and training rows where there is nothing else."""
    return next(name for name in ("test", "validation", "train") if name in data.splits)


def write_evaluation(path: Path, evaluation: Evaluation) -> None:
    """Write an evaluation as JSON, whole or not at all."""
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(evaluation.to_dict(), indent=2) + "\n", encoding="utf-8")
    part.replace(path)
