"""What a run of ``unveil fit`` will be, with nothing left open.

Whatever can go wrong before the first step does so here, and nothing is written down: a mistake leaves nothing behind.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unveil.cli.configuration import CONFIG, merge, read_config
from unveil.cli.errors import UsageError, at_least_one, user_errors
from unveil.cli.line import Layer
from unveil.cli.options import PASSING, FitOptions
from unveil.cli.place import default_out
from unveil.cli.ways import Way, way_of

if TYPE_CHECKING:
    from unveil.cli.resolve import Resolved
    from unveil.data import Data
    from unveil.models import Model
    from unveil.training.folder import Folder

AFTERWARDS = ("out", "data", "device", "compile", "checkpoint_seconds", "evaluate", "particles", "limit")
"""Settings that may be others when a run is gone on with: the data is compared by what it holds."""


@dataclass(frozen=True)
class Job:
    """A run.

    Args:
        options: What was asked for.
        way: How the model is fitted, with nothing left open.
        config: All settings as plain data, as they are written down.
        data: The data.
        model: The model, not yet trained.
        chosen: The settings of parts that were left to the program.
        folder: Where everything goes.
        finished: Whether there is nothing left to train, since the run that is resumed has ended.
        unlike: What was asked for and a finished run does not have, in words.
    """

    options: FitOptions
    way: Way
    config: dict[str, Any]
    data: Data
    model: Model
    chosen: list[str]
    folder: Folder
    finished: bool = False
    unlike: str = ""


def make_job(line: Layer) -> Job:
    """Resolve everything, and try out what can be tried.

    Args:
        line: The settings on the command line.

    Raises:
        UsageError: If anything is wrong.
    """
    settings, where = layered(line)
    from unveil.cli.resolve import Resolved
    from unveil.training.fit import join_processes
    from unveil.training.folder import Folder
    from unveil.training.settings import find_device

    resolved = Resolved(FitOptions, settings, where, trust=bool(line.get("trust")))
    with user_errors(resolved.config):
        options = resolved.options(FitOptions)
        at_least_one(particles=options.particles, limit=options.limit)
        folder = Folder(str(options.out or ""))
        folder.refuse_taken(resume=options.resume, overwrite=options.overwrite)
        data = options.load()
        with user_errors([*resolved.under("model"), "context", "target", "real"]):
            model = make_model(options, data)
        way = way_of(options, model, data, join_processes(find_device(options.device)))
        plain = Resolved(FitOptions, {}, where).config
        way.refuse(key for key in settings if key in line or settings[key] != plain.get(key))
        way.rehearse(model, data)
    config = to_write(resolved) | way.settled()
    chosen = [key for key, part in resolved.parts.items() if part is None]
    job = Job(options, way, config, data, model, chosen, folder)
    return going_on(job) if options.resume and folder.resumable else job


def layered(line: Layer) -> tuple[Layer, Callable[[str], str]]:
    """The settings of flags, over those of ``--config``, over a resumed run's own.

    Returns:
        The settings, and what to call each in a message: the flag, or the line of a file.
    """
    line = dict(line)
    file = line.pop("config", None)
    if file is True:
        raise UsageError("--config: expected a file, got nothing")
    given = read_config(str(file)) if file else {}
    settings = merge(given, line)
    if settings.get("out") in (None, "null"):
        settings["out"] = default_out(settings, latest="resume" in line or "overwrite" in line)
    own = Path(str(settings["out"])) / CONFIG
    resumed = read_config(own) if settings.get("resume") and own.is_file() else {}
    if settings.get("resume") and not resumed and not {"model", "data"} & set(settings):
        raise UsageError(
            f"--resume: expected a run in {settings['out']} to go on with, or --model and --data for a new one"
        )

    def where(key: str) -> str:
        if key in line or key not in {**given, **resumed}:
            return f"--{key}"
        return f"{key} in {file if key in given else own}"

    for key in PASSING:
        if key != "out" and key in {**given, **resumed}:
            raise UsageError(f"{where(key)}: expected on the command line only; give --{key} there")
    return merge(resumed, settings), where


def make_model(options: FitOptions, data: Data) -> Model:
    """The model with its initial weights, which the seed decides."""
    import torch

    from unveil.config import describe
    from unveil.variables import Variable

    if not isinstance(data.variable, Variable):
        raise TypeError("data: expected one observed variable, whose shape and support are known")
    torch.manual_seed(options.seed)
    arguments = (data.variable,) if data.context is None else (data.variable, data.context)
    model = options.model(*arguments)
    describe(model)  # raises a TypeError now, rather than when the fitted model is saved
    return model


def compare(folder: Folder, config: Mapping[str, Any], *, finished: bool) -> str:
    """What a run that is to be gone on with has been asked for, where that is not what is asked for now.

    Args:
        folder: The run's folder.
        config: What is asked for now.
        finished: Whether the run has ended: nothing but another model is refused then.

    Raises:
        UsageError: If the run can't be gone on with so.
    """
    file = folder.path / CONFIG
    own = read_config(file) if file.is_file() else {}
    keys = [key for key in config if key in own and key not in AFTERWARDS and own[key] != config[key]]
    told = ", ".join(f"{key} {own[key]}, not {config[key]}" for key in keys)
    if keys and (not finished or keys[0].startswith("model")):
        raise UsageError(
            f"--resume: the run in {folder.path} has {told}; ask for the same, or start anew with --overwrite or in "
            "another --out"
        )
    return told


def going_on(job: Job) -> Job:
    """The run, where there is a checkpoint: a copy of the model takes it up, so that one that does not fit is refused.

    Raises:
        UsageError: If the run can't be gone on with.
    """
    from unveil.models.saving import fill, read_tensors

    folder = job.folder
    try:
        finished = folder.finished
        unlike = compare(folder, job.config, finished=finished)
        if finished:
            fill(copy.deepcopy(job.model), read_tensors(folder.weights)[0], folder.weights)
        else:
            job.way.take_up(job.model, job.data, folder)
    except ValueError as error:
        raise UsageError(f"--resume: {error}; --overwrite starts anew") from error
    return replace(job, finished=finished, unlike=unlike)


def to_write(resolved: Resolved) -> dict[str, Any]:
    """The configuration that repeats the run: every setting."""
    return {key: value for key, value in resolved.config.items() if key == "out" or key not in PASSING}
