"""A fitted model, as a command line names it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from unveil.cli.errors import UsageError, near

if TYPE_CHECKING:
    from unveil.cli.line import Layer
    from unveil.models import Model


def flag(key: str) -> str:
    """What to call a setting in a message; the run is no flag."""
    return "RUN" if key == "run" else f"--{key}"


def folder_of(run: str) -> Path:
    """The folder of a run that is named by itself or by its weights file."""
    return Path(run) if Path(run).is_dir() else Path(run).parent


def require_run(line: Layer) -> None:
    """Refuse a command line without a run.

    Raises:
        UsageError: Saying what is expected.
    """
    if "run" not in line:
        raise UsageError("RUN: expected the folder of a run or a .safetensors file, got nothing")


def loaded(run: str, device: str | None, *, trust: bool) -> Model:
    """The model in the folder of a run or in a file, on the device that was asked for.

    Raises:
        UsageError: If there is nothing there.
        ValueError: If the file is damaged, or the device is not here.
    """
    from unveil.cli.configuration import CONFIG
    from unveil.models import load
    from unveil.models.saving import WEIGHTS
    from unveil.training.settings import find_device

    path = Path(run)
    if not path.exists():
        beside = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
        hint = near(path.name, beside) or "; it is not there"
        raise UsageError(f"RUN: expected the folder of a run or a .safetensors file, got {run!r}{hint}")
    if path.is_dir() and not (path / WEIGHTS).is_file():
        again = f"; it was cut short: unveil fit --config {path / CONFIG} --resume goes on with it"
        hint = again if (path / "checkpoint").is_dir() else ""
        raise UsageError(f"RUN: expected the folder of a finished run, got {run!r}, which holds no {WEIGHTS}{hint}")
    place = find_device(device)
    return load(path, trust=trust).to(place)
