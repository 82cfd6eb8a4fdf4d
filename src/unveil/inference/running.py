"""Fit a model by turns to a data set, by EM or by coordinate ascent, and write a run's folder."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from unveil.data import Data
from unveil.files import write_text
from unveil.inference import cavi, em
from unveil.inference.climbing import Climbed
from unveil.models.alternating import Alternating
from unveil.models.checking import check_kind
from unveil.models.em import EMModel
from unveil.models.saving import fill, read_tensors, save, write_tensors
from unveil.progress import Show
from unveil.training import Run
from unveil.training.fit import as_data, finished_run
from unveil.training.folder import Folder, Record
from unveil.training.settings import find_device
from unveil.training.state import Counters, read_counters


def run(
    model: Alternating,
    data: Any,
    *,
    out: str | Path | None = None,
    starts: int | None = None,
    steps: int = 1000,
    tolerance: float = 1e-5,
    batch_size: int | None = None,
    seed: int = 0,
    device: str | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool | Show = True,
) -> Run:
    """Fit a model by EM or coordinate ascent to the training rows, as :func:`unveil.fit` does by gradients.

    Args:
        model: What to fit; its parameters are changed.
        data: Anything that :func:`unveil.data.load` takes.
        out: A folder for weights and metrics; nothing is written without one.
        starts: How many starts to try.
        steps: The largest number of steps.
        tolerance: How far below its maximum the bound may stay, in nats per row.
        batch_size: Rows per M-step, for stepwise EM; all rows by default.
        seed: Decides every random number.
        device: ``"cpu"``, ``"cuda"``, ...; the best there is by default.
        resume: Whether to go on from what the folder holds, if it holds anything. A finished run is loaded as it is.
        overwrite: Whether to start anew in a folder that holds a run.
        progress: Whether to show progress.

    Returns:
        The run. Ctrl-C ends it early, with everything saved.

    Raises:
        ValueError: If an argument is out of range, or data or folder don't fit.
        FloatingPointError: If the bound is not finite, or falls.
    """
    data = as_data(data)
    check_kind(model, data.variable, data.context)
    folder = None if out is None else Folder(out)
    metrics: list[Record] = []
    before = Counters()
    if folder is not None:
        folder.refuse_taken(resume=resume, overwrite=overwrite)
        if resume and folder.finished:
            return finished_run(folder, model, data)
        if resume and folder.resumable:
            before = take_up(model, folder)
            metrics, starts = folder.read_metrics(before.step), 0
        folder.claim(resume=resume, overwrite=overwrite)
    began = time.monotonic()
    model.to(find_device(device))
    fit: Callable[..., Climbed] = em.fit if isinstance(model, EMModel) else cavi.fit
    fitted = fit(
        model,
        data,
        starts=starts,
        steps=max(1, steps - before.step),
        tolerance=tolerance,
        batch_size=batch_size,
        seed=seed,
        progress=progress,
    )
    metrics += records(fitted, before.step, skip=bool(metrics))
    finished = not fitted.interrupted
    seconds = before.seconds + time.monotonic() - began
    if folder is not None:
        counters = Counters(step=metrics[-1]["step"], seconds=seconds, finished=finished)
        write(folder, model, data, metrics, counters)
    return Run(model, data, metrics, folder.path if folder else None, finished, seconds, str(fitted))


def records(fitted: Climbed, before: int, *, skip: bool) -> list[Record]:
    """The metrics of each step: one pass over the data, and the bound in nats per row."""
    steps = range(before, before + len(fitted.bounds))
    found = [
        {"step": step, "epoch": step, "objective": bound} for step, bound in zip(steps, fitted.bounds, strict=True)
    ]
    return found[skip:]


def write(folder: Folder, model: Alternating, data: Data, metrics: list[Record], counters: Counters) -> None:
    """Write a run's folder."""
    save(model, folder.weights)
    if data.format is not None:
        write_text(folder.data, json.dumps(data.format.to_plain(), indent=2) + "\n")
    write_text(folder.metrics, "".join(json.dumps(record) + "\n" for record in metrics))
    fingerprints = {name: split.fingerprint() for name, split in data.splits.items() if name != "test"}
    header = {"counters": asdict(counters), "settings": {"data": fingerprints}}
    write_tensors(folder.checkpoint, model.state_dict(), header)


def take_up(model: Alternating, folder: Folder) -> Counters:
    """Go on from a folder's checkpoint.

    Raises:
        ValueError: If it is damaged, or of another model.
    """
    fill(model, read_tensors(folder.checkpoint)[0], folder.checkpoint)
    return read_counters(folder.checkpoint)
