"""A model in one file: its weights, and what it was made of.

The file is in the safetensors format, whose header holds text beside the tensors: the description from which the model
is made again goes there, as JSON. Nothing in it is executed on loading, and equal models give equal files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from unveil.config import build, describe
from unveil.files import replacing
from unveil.models.model import Model

WEIGHTS = "model.safetensors"
"""The name of a model's file in the folder of a run."""


def save(model: Model, path: str | Path) -> None:
    """Write a model to a file, whole or not at all.

    Raises:
        TypeError: If the model is made of something that can't be written down (a function, say).
    """
    write_tensors(path, model.state_dict(), {"model": describe(model)})


def load(path: str | Path, *, trust: bool = False) -> Model:
    """Read a model that :func:`save` wrote, in evaluation mode, on the CPU.

    Args:
        path: The file, or the folder of a run.
        trust: Whether classes of other packages may be imported; only this package's are otherwise.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged, is not a model, or names classes that are not trusted.
    """
    path = Path(path) / WEIGHTS if Path(path).is_dir() else Path(path)
    tensors, header = read_tensors(path)
    if "model" not in header:
        raise ValueError(f"{path}: holds no model; expected a file that unveil saved")
    model = build(header["model"], trust=trust)
    model.to(
        next((tensor.dtype for tensor in tensors.values() if tensor.dtype in (torch.float32, torch.float64)), None)
    )
    fill(model, tensors, path)
    return model.eval()


def fill(module: torch.nn.Module, tensors: Mapping[str, Tensor], path: str | Path) -> None:
    """Load a state into a module.

    Raises:
        ValueError: If the names or shapes are those of another module.
    """
    try:
        module.load_state_dict(dict(tensors))
    except RuntimeError as error:
        reason = str(error).replace("\n", " ").replace("\t", " ")
        raise ValueError(f"{path}: is not a checkpoint of this model: {reason[:300]}") from error


def write_tensors(path: str | Path, tensors: Mapping[str, Tensor], header: Mapping[str, object]) -> None:
    """Write tensors and a header of plain data to a file, whole or not at all."""
    text = {name: json.dumps(value, sort_keys=True) for name, value in header.items()}
    own = {name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}
    with replacing(Path(path)) as part:
        save_file(own, part, metadata=text)


def read_header(path: str | Path) -> dict[str, Any]:
    """The header of a file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged.
    """
    return _read(path, tensors=False)[1]


def read_tensors(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the header of a file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged.
    """
    return _read(path, tensors=True)


def _read(path: str | Path, *, tensors: bool) -> tuple[dict[str, Tensor], dict[str, Any]]:
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        with safe_open(path, framework="pt") as file:
            header = {name: json.loads(text) for name, text in (file.metadata() or {}).items()}
            return {name: file.get_tensor(name) for name in (file.keys() if tensors else ())}, header
    except (SafetensorError, json.JSONDecodeError, OSError) as error:
        raise ValueError(f"{path}: is damaged or not in the safetensors format ({error})") from error
