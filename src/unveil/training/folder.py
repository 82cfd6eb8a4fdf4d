"""A run's folder: weights, metrics and checkpoint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from unveil.files import write_text
from unveil.models.saving import WEIGHTS, read_tensors

Record = dict[str, Any]
"""One line of metrics."""


class Folder:
    """The files of a run.

    Args:
        path: The folder; it need not exist.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.weights = self.path / WEIGHTS
        self.checkpoint = self.path / "checkpoint" / "last.safetensors"
        self.metrics = self.path / "metrics.jsonl"

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
        return bool(read_tensors(self.checkpoint)[1].get("counters", {}).get("finished"))

    def claim(self, *, resume: bool, overwrite: bool) -> None:
        """Make the folder ready for a run.

        Raises:
            ValueError: If it holds a run and neither ``resume`` nor ``overwrite`` is asked for, or both are.
        """
        if resume and overwrite:
            raise ValueError("resume, overwrite: expected one of the two, got both")
        if self.path.exists() and not self.path.is_dir():
            raise ValueError(f"out: expected a folder, got the file {self.path}")
        if self.holds_a_run and not (resume or overwrite):
            raise ValueError(f"out: {self.path} holds a run already; resume it, overwrite it, or choose another folder")
        if overwrite or not self.resumable:
            for file in (self.weights, self.checkpoint, self.metrics, self.path / "evaluation.json"):
                file.unlink(missing_ok=True)
        self.path.mkdir(parents=True, exist_ok=True)

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
