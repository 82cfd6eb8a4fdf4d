"""Fit any model to any data."""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, PartialState

from unveil import data as datasets
from unveil.config import describe
from unveil.data import Data, Split
from unveil.files import write_text
from unveil.gradients import Gradient
from unveil.models import FromPosterior, Model
from unveil.models.checking import check_kind, check_values
from unveil.models.saving import fill, read_tensors, save
from unveil.objectives import BetaELBO, Objective, Schedule, WarmUp
from unveil.parts import parts_of
from unveil.training.averaging import Average
from unveil.training.feed import Feed
from unveil.training.folder import Folder, Record
from unveil.training.learner import Learner
from unveil.training.loop import Loop
from unveil.training.monitor import Monitor
from unveil.training.settings import Plan, Settings, find_device
from unveil.training.state import State, read_counters
from unveil.variables import Batch

MOST_ROWS = 20_000
"""Parts look at no more than this many training rows before the first step."""
MOST_TURNS = 50
"""Parts are shown all training rows at most this often after the last step."""


@dataclass
class Run:
    """A fitted model and how it came about.

    Args:
        model: With the best validation bound's weights (the last where nothing is validated), in evaluation mode.
        data: What it was fitted to.
        metrics: One record per epoch.
        folder: Where everything was written; None for nowhere.
        finished: Whether training came to its end rather than being interrupted.
        seconds: How long training took, all sittings together.
        summary: How it went, in words, where there is more to say than the metrics do.
    """

    model: Model
    data: Data
    metrics: list[Record] = field(default_factory=list)
    folder: Path | None = None
    finished: bool = True
    seconds: float = 0.0
    summary: str = ""


def fit(
    model: Model,
    data: Any,
    *,
    objective: Objective | None = None,
    gradient: Gradient | None = None,
    out: str | Path | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    lr: float | Schedule = 1e-3,
    seed: int = 0,
    device: str | None = None,
    precision: str = "float32",
    average: float = 0.0,
    clip: float | None = None,
    patience: int | None = None,
    compile: bool = False,
    checkpoint_seconds: float = 60.0,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
) -> Run:
    """Fit a model by stochastic gradient ascent on an objective.

    Args:
        model: What to fit; its weights are changed. A model that was fitted before goes on from there.
        data: Anything that :func:`unveil.data.load` takes; a :class:`~unveil.variables.Batch` of training rows as they
            are (several observed variables, a mask); an empty ``Batch()`` for a model without data.
        objective: What to maximise; by default the ELBO whose rate is priced in over the first tenth of training (it
            is validated at full price).
        gradient: How to estimate its gradient; pathwise by default.
        out: A folder for weights, metrics and checkpoints; nothing is written without one.
        epochs: Passes over the training data; by default as many as make about 3,000 steps.
        batch_size: Rows per step and process; 100 by default, fewer for fewer than 1,000 rows.
        lr: The learning rate: the peak of a cosine with a short warm-up, or a schedule of your own.
        seed: Decides every random number of training (the model's initial weights are yours).
        device: ``"cpu"``, ``"cuda"``, ...; the best there is by default.
        precision: Of matrix products: ``"float32"`` or ``"bfloat16"``.
        average: The decay of a moving average of the weights, which is then validated and kept; 0 for none.
        clip: The largest norm of the gradient; None for no limit.
        patience: Epochs without a better validation bound after which training ends; None for never.
        compile: Whether to compile the nets.
        checkpoint_seconds: The longest time between two checkpoints.
        resume: Whether to go on from the folder's checkpoint, if it has one. A finished run is loaded as it is.
        overwrite: Whether to start anew in a folder that holds a run.
        progress: Whether to show progress.

    Returns:
        The run. Ctrl-C ends it early, with everything saved.

    Raises:
        ValueError: If an argument is out of range, or the data, the folder or the checkpoint does not fit.
        NonFiniteError: If a loss is NaN or infinite.

    Example:
        >>> from unveil.models import VAE
        >>> data = datasets.load((torch.rand(200, 8) < 0.3).float())
        >>> run = fit(VAE(data.variable, latent_dim=2), data, epochs=1, progress=False)
        >>> run.model.sample(3).shape
        torch.Size([3, 8])
    """
    data = as_data(data)
    check_kind(model, data.variable, data.context)
    for split in data.splits.values():
        if split.redraw is None:
            check_values(model, split.stored)
    settings = Settings(
        epochs, batch_size, lr, seed, device, precision, average, clip, patience, compile, checkpoint_seconds
    )
    accelerator = join_processes(find_device(settings.device))
    plan = settings.plan(len(data.train), accelerator)
    learner = Learner(model, objective or BetaELBO(WarmUp()), gradient, plan.dtype)
    folder, resumed = None if out is None else Folder(out), False
    if folder is not None:
        describe(model)  # what can't be written down is refused before it is trained
        accelerator.wait_for_everyone()  # until nobody is writing there any more
        folder.refuse_taken(resume=resume, overwrite=overwrite)
        if resume and folder.finished:
            return finished_run(folder, model, data)
        resumed = resume and folder.resumable
        accelerator.wait_for_everyone()  # until every process has seen the folder as it was
        if accelerator.is_main_process:
            folder.claim(resume=resume, overwrite=overwrite)
    state = begin(learner, plan, data, accelerator)
    if folder is not None and resumed:
        state.load(folder.checkpoint)
    return carry_out(state, plan, data, accelerator, folder, progress=progress)


def join_processes(device: torch.device) -> Accelerator:
    """This process alone, or as one of those that a launcher (accelerate, torchrun) started."""
    launched = int(os.environ.get("WORLD_SIZE", "1")) > 1
    return Accelerator(cpu=launched and device.type == "cpu")


def leave_processes() -> None:
    """The end of working together: from here on each process is alone.

    What talks to the other processes is let go first. Its threads would go on beside a process that ends, and now and
    then abort it.
    """
    gc.collect()
    PartialState().destroy_process_group()


def begin(learner: Learner, plan: Plan, data: Data, accelerator: Accelerator) -> State:
    """The state before the first step: parts have looked at the data, everything is on its device."""
    initial = torch.Generator().manual_seed(plan.seed)
    if not learner.model.initialized:
        learner.model.initialize(initial_rows(data.train, initial), initial, data.variable)
    learner.to(plan.device)
    optimizer = torch.optim.Adam(learner.parameters(), lr=1.0, fused=True)
    asked = {
        "model": told(learner.model), "objective": told(learner.objective), "gradient": told(learner.gradient),
        "data": {name: split.fingerprint() for name, split in data.splits.items() if name != "test"},
        "processes": accelerator.num_processes, **plan.deciding(),
    }  # fmt: skip
    return State(learner, optimizer, Average(learner.model, plan.average), asked)


def carry_out(
    state: State, plan: Plan, data: Data, accelerator: Accelerator, folder: Folder | None, *, progress: bool
) -> Run:
    """Run the loop and settle its result."""
    model, counters = state.learner.model, state.counters
    data = data.to(plan.device)
    feed = Feed(data.train, plan.batch_size, plan.seed, accelerator.process_index, accelerator.num_processes)
    first = accelerator.is_main_process
    metrics = folder.read_metrics(counters.step) if folder and first else []
    total = plan.epochs * feed.steps_per_epoch
    monitor = Monitor(total, feed.global_size, counters.step, show=progress and first)

    def record(line: Record) -> None:
        metrics.append(line)
        if first:
            monitor.epoch(line)
            if folder:
                folder.append_metrics(line)

    validate = None
    if data.validation is not None:
        validate = partial(bound, model, data.validation, state.learner.objective.validation, plan.seed)
    checkpoint = folder.checkpoint if folder and first else None
    loop = Loop(state, plan, feed, accelerator, validate, record, monitor.step, checkpoint)
    if plan.compile:
        state.learner.compile_nets()
    with monitor:
        finished = loop.run()
    settle(state, data.train)
    if folder and first:
        save(model, folder.weights)
        if data.format is not None:
            write_text(folder.data, json.dumps(data.format.to_plain(), indent=2) + "\n")
        if finished:
            counters.finished = True
            loop.save()
    return Run(model.eval(), data, metrics, folder.path if folder else None, finished, counters.seconds)


def bound(model: Model, split: Split, objective: Objective, seed: int) -> float:
    """The mean of an objective over a split, with the same noise at every call, in nats per example."""
    generator = torch.Generator(model.device).manual_seed(seed)
    total = 0.0
    with model.at_rest():
        for batch in batches(split, generator, rows=max(1, 2000 // objective.particles)):
            traces = [model.trace(batch, source) for source in objective.sources(generator, pathwise=False)]
            total += float(objective(*traces).sum())
    return total / len(split)


def batches(split: Split, generator: torch.Generator, rows: int = 1000) -> Iterator[Batch]:
    """The whole split, in order."""
    for start in range(0, len(split), rows):
        yield split.batch(slice(start, start + rows), generator)


@torch.no_grad()
def settle(state: State, train: Split) -> None:
    """Put the best weights into the model (the averaged ones where nothing was validated), and calibrate its parts."""
    model = state.learner.model
    if state.best:
        model.load_state_dict(state.best)
    elif state.average.decay:
        state.average.install()
    model.eval()
    calibrate(model, train)


@torch.no_grad()
def calibrate(model: Model, train: Split, seed: int = 0) -> None:
    """Show every training example once more, the weights at rest, to the parts that want it."""
    for turn in range(MOST_TURNS):
        wanting = [part for part in parts_of(model) if part.begin_calibration(turn)]
        if not wanting:
            break
        generator = torch.Generator(model.device).manual_seed(seed)
        for batch in batches(train, generator):
            trace = model.trace(batch, FromPosterior(generator=generator))
            trace.rate(), trace.log_likelihood  # what passes on the way is looked at, too
            for part in wanting:
                part.observe(trace)
        for part in wanting:
            part.end_calibration()


def initial_rows(train: Split, generator: torch.Generator) -> Batch:
    """Training rows for the parts to look at: all, or many drawn at random."""
    chosen = torch.randperm(len(train), generator=generator)[:MOST_ROWS]
    return train.batch(chosen.sort().values, generator)


def finished_run(folder: Folder, model: Model, data: Data) -> Run:
    """A run that has come to its end, as it is; the model takes up its weights."""
    fill(model, read_tensors(folder.weights)[0], folder.weights)
    counters = read_counters(folder.checkpoint)
    return Run(model.eval(), data, folder.read_metrics(counters.step), folder.path, True, counters.seconds)


def as_data(data: Any) -> Data:
    """Data of any kind: a Batch holds training rows as they are."""
    if isinstance(data, Batch):
        return Data("batch", None, None, Split(data))
    return datasets.load(data)


def told(part: Any) -> Any:
    """A part's description, or its class's name where it is made of what can't be written down."""
    try:
        return describe(part)
    except TypeError:
        return type(part).__qualname__
