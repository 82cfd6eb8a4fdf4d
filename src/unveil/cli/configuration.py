"""Settings in files, and in layers: a later layer wins over an earlier one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from unveil.cli.errors import UsageError
from unveil.cli.line import Layer

CONFIG = "config.yaml"
"""The name of a configuration in the folder of a run."""


class _Loader(yaml.SafeLoader):
    """YAML in which 1e-3 is a number, as everybody expects, and not a text."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def read_config(path: str | Path) -> Layer:
    """The settings in a file, or in the configuration of a run's folder.

    Raises:
        UsageError: If it can't be read, or holds anything but one value per key.
    """
    file = Path(path) / CONFIG if Path(path).is_dir() else Path(path)
    try:
        settings = yaml.load(file.read_text(encoding="utf-8"), _Loader) or {}
    except FileNotFoundError as error:
        raise UsageError(f"--config: no such file {str(file)!r}") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"--config: can't read {str(file)!r}: {' '.join(str(error).split())}") from error
    if not isinstance(settings, dict):
        raise UsageError(f"--config: expected lines such as `epochs: 10` in {str(file)!r}, got {settings!r:.40}")
    nested = [key for key, value in settings.items() if isinstance(value, Mapping)]
    if nested:
        raise UsageError(f"{nested[0]} in {file}: expected one value, got a mapping; write `{nested[0]}.option: value`")
    return {str(key): value for key, value in settings.items()}


def config_text(settings: Mapping[str, Any], notes: Iterable[str] = ()) -> str:
    """Settings as YAML, a line each, under notes for whoever reads it."""
    lines = [f"# {note}" for note in notes] + [f"{key}: {one_line(value)}" for key, value in settings.items()]
    return "\n".join(lines) + "\n"


def one_line(value: Any) -> str:
    """Plain data as one line of YAML."""
    text: str = yaml.safe_dump(value, default_flow_style=True, width=10**9, allow_unicode=True)
    return text.removesuffix("...\n").strip()


def merge(*layers: Mapping[str, Any]) -> Layer:
    """Settings of which the later layers win; another part at a key drops the options of the one that it replaces."""
    merged: Layer = {}
    for layer in layers:
        for key in sorted(layer, key=lambda key: key.count(".")):
            if key in merged and merged[key] != layer[key]:
                merged = {other: value for other, value in merged.items() if not other.startswith(f"{key}.")}
            merged[key] = layer[key]
    return merged
