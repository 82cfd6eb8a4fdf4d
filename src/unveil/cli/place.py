"""Where a run goes where nobody says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

RUNS = Path("runs")


def default_out(settings: Mapping[str, Any], *, latest: bool) -> str:
    """``runs/vae-digits``; where that is taken, ``runs/vae-digits-2``, ``-3``, ...

    Args:
        settings: What was asked for; model and data give the name.
        latest: Whether the last of these that is there is meant, rather than the first that is free.
    """
    model = str(settings.get("model", "VAE")).rpartition(".")[2]
    data = Path(str(settings.get("data", "digits"))).stem
    name = re.sub(r"[^a-z0-9_]+", "-", f"{model}-{data}".lower()).strip("-")
    place, number, last = RUNS / name, 1, RUNS / name
    while place.exists():
        number, last, place = number + 1, place, RUNS / f"{name}-{number + 1}"
    return str(last if latest else place)
