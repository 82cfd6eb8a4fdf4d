"""Folders in the layout of the Hugging Face hub, and names on the hub."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from unveil.data.sources.raw import RawData
from unveil.data.sources.roles import Roles
from unveil.data.sources.tables import from_datasets, require
from unveil.hints import did_you_mean

HUB_NAME = re.compile(r"[\w.-]{1,96}(/[\w.-]{1,96})?")
WAIT_SECONDS = 5.0


def from_folder(path: Path, roles: Roles) -> RawData:
    """Read a folder in the hub's layout (Parquet, CSV, images ...), or one written by ``save_to_disk``.

    Raises:
        ValueError: Where the folder holds no data, or data that cannot be read.
    """
    datasets = require("datasets")
    saved = any((path / name).is_file() for name in ("dataset_dict.json", "state.json"))
    try:
        found = datasets.load_from_disk(str(path)) if saved else datasets.load_dataset(str(path.resolve()))
    except Exception as error:  # the readers of many formats raise errors of many kinds
        expected = "a folder with data that Hugging Face Datasets reads (Parquet, CSV, images, ...)"
        raise ValueError(f"data: expected {expected}, got {str(path)!r}: {_first_line(error)}") from error
    return from_object(path.resolve().name, found, roles)


def from_hub(name: str, roles: Roles) -> RawData:
    """Read a data set by its name on the hub.

    Raises:
        ValueError: Where the name cannot be one, is not on the hub, or where the hub cannot be reached.
    """
    if not HUB_NAME.fullmatch(name):
        raise ValueError(f"data: expected a path, 'digits' or a hub name (owner/name), got {name!r}")
    datasets = require("datasets")
    offline = datasets.config.HF_HUB_OFFLINE
    unreachable = (
        f"data: {name!r} is no file or folder here, and the Hugging Face hub cannot be reached to look for it there; "
        f"pass a path{'' if offline else ', or set HF_HUB_OFFLINE=1 to use a copy that was downloaded before'}"
        f"{did_you_mean(name, ['digits'])}"
    )
    if not offline and not reachable(datasets.config.HF_ENDPOINT):
        raise ValueError(unreachable)
    try:
        found = datasets.load_dataset(name)
    except ConnectionError as error:
        raise ValueError(unreachable) from error
    except Exception as error:  # the hub and the readers of many formats raise errors of many kinds
        cause = _first_line(error)
        message = f"data: {name!r} is no file or folder here, and cannot be loaded from the Hugging Face hub: {cause}"
        raise ValueError(message) from error
    return from_object(name, found, roles)


def reachable(address: str) -> bool:
    """Whether a server answers within a few seconds (the hub's own client would try for half a minute)."""
    try:
        with urllib.request.urlopen(urllib.request.Request(address, method="HEAD"), timeout=WAIT_SECONDS):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def from_object(name: str, found: Any, roles: Roles) -> RawData:
    """A source from a ``datasets.Dataset`` or ``DatasetDict``.

    Raises:
        TypeError: Where it is streamed.
    """
    datasets = require("datasets")
    if isinstance(found, datasets.Dataset):
        return from_datasets(name, {str(found.split or "data"): found}, roles)
    if isinstance(found, datasets.DatasetDict):
        return from_datasets(name, {str(part): table for part, table in found.items()}, roles)
    fix = "make a Dataset of the rows that fit in memory"
    raise TypeError(f"data: expected a datasets.Dataset or DatasetDict, got {type(found).__name__}; {fix}")


def is_object(value: Any) -> bool:
    """Whether a value is one of Hugging Face Datasets' own, told without importing that package."""
    return type(value).__module__.partition(".")[0] == "datasets"


def _first_line(error: BaseException) -> str:
    """The first line of an error's message."""
    return str(error).partition("\n")[0] or type(error).__name__
