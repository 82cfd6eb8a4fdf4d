"""A run's folder: weights, metrics and checkpoint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from unveil.data import Format
from unveil.files import write_text
from unveil.models.saving import WEIGHTS, read_header

Record = dict[str, Any]
"""One line of metrics."""


class Folder:
    """The files of a run.

    Args:
        path: The folder; it need not exist.

    Raises:
        ValueError: If the path is an empty text.
    """

    def __init__(self, path: str | Path) -> None:
        if not str(path):
            raise ValueError("out: expected a folder, got an empty text")
        self.path = Path(path)
        self.weights = self.path / WEIGHTS
        self.checkpoint = self.path / "checkpoint" / "last.safetensors"
        self.metrics = self.path / "metrics.jsonl"
        self.data = self.path / "data.json"

    @property
    def holds_a_run(self) -> bool:
        """Whether there is anything of a run."""
        return any(file.exists() for file in (self.weights, self.checkpoint, self.metrics))

    @property
    def resumable(self) -> bool:
        """Whether there is a checkpoint to go on from."""
        return self.checkpoint.is_file()

    @property
    def finished(self) -> bool:
        """Whether the run has come to its end."""
        if not (self.resumable and self.weights.is_file()):
            return False
        return bool(read_header(self.checkpoint).get("counters", {}).get("finished"))

    @property
    def fitted_to(self) -> dict[str, str]:
        """The fingerprints of the splits that the run was fitted to, by name; empty where there is no checkpoint."""
        return read_header(self.checkpoint).get("settings", {}).get("data", {}) if self.resumable else {}

    @property
    def format(self) -> Format | None:
        """What a row of the data is that the run was fitted to; None where nothing says so."""
        return Format.from_plain(json.loads(self.data.read_text())) if self.data.is_file() else None

    def refuse_taken(self, *, resume: bool, overwrite: bool) -> None:
        """Refuse a folder that holds something, unless it is clear what shall become of that.

        Raises:
            ValueError: If it holds a run and neither ``resume`` nor ``overwrite`` is asked for, or both are; if it is
                no folder, or one of somebody else's files.
        """
        if resume and overwrite:
            raise ValueError("resume: expected without overwrite, got both")
        if self.path.exists() and not self.path.is_dir():
            raise ValueError(f"out: expected a folder, got the file {self.path}")
        if self.holds_a_run and not (resume or overwrite):
            raise ValueError(
                f"out: {self.path} holds a run already; add resume=True to go on with it, overwrite=True to start anew "
                "in it, or choose another folder"
            )
        if foreign := self._foreign():
            raise ValueError(
                f"out: expected a new or empty folder, or one of a run; {self.path} holds {', '.join(foreign[:3])}"
                f"{' and more' * (len(foreign) > 3)} instead; choose another folder"
            )

    def claim(self, *, resume: bool, overwrite: bool) -> None:
        """Make the folder ready for a run: what is left of another one is removed unless it is gone on with.

        Raises:
            ValueError: If :meth:`refuse_taken` does.
        """
        self.refuse_taken(resume=resume, overwrite=overwrite)
        if overwrite or not self.resumable:
            for file in (self.weights, self.checkpoint, self.metrics, self.data, self.path / "evaluation.json"):
                file.unlink(missing_ok=True)
        self.path.mkdir(parents=True, exist_ok=True)

    def _foreign(self) -> list[str]:
        """What is in the folder, if it is not the folder of a run (be it one that has just been made ready)."""
        if self.holds_a_run or not self.path.is_dir():
            return []
        names = sorted(file.name for file in self.path.iterdir() if not file.name.startswith("."))
        return [] if "config.yaml" in names else names

    def read_metrics(self, upto_step: int) -> list[Record]:
        """The records up to a step; later ones are of a sitting whose end was lost, and are dropped from the file."""
        if not self.metrics.is_file():
            return []
        records: list[Record] = []
        lines = self.metrics.read_text().splitlines()
        for line in lines:
            try:
                record = json.loads(line)
            except json.JSONDecodeError:  # cut off in the middle of writing
                break
            if record["step"] > upto_step:
                break
            records.append(record)
        if len(records) < len(lines):
            write_text(self.metrics, "".join(json.dumps(record) + "\n" for record in records))
        return records

    def append_metrics(self, record: Record) -> None:
        """One more line."""
        with self.metrics.open("a") as file:
            file.write(json.dumps(record) + "\n")
