"""What holds of every file."""

import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import unveil

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "src").rglob("*.py"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_file_can_be_held_in_the_head(file):
    assert len(file.read_text().splitlines()) <= 400


@pytest.mark.parametrize("module", ["unveil", "unveil.cli"])
def test_importing_costs_nothing(module):
    code = f"import sys, {module}; sys.exit('torch' in sys.modules or 'matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", unveil.__all__)
def test_every_public_name_is_there_and_documented(name):
    assert inspect.getdoc(getattr(unveil, name))


@pytest.mark.parametrize("package", [path.name for path in (ROOT / "src" / "unveil").iterdir() if path.is_dir()])
def test_every_public_class_documents_its_arguments(package):
    if package.startswith("__"):
        return
    module = importlib.import_module(f"unveil.{package}")
    for name in module.__all__:
        thing = getattr(module, name)
        if not inspect.isclass(thing) or "__init__" not in vars(thing) or issubclass(thing, Exception):
            continue
        text = inspect.getdoc(thing)
        for argument in list(inspect.signature(thing.__init__).parameters)[1:]:
            inherited = any(f"{argument}:" in (inspect.getdoc(base) or "") for base in thing.__mro__)
            assert f"{argument}:" in text or inherited, f"{package}.{name} does not document {argument}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_nothing_is_ever_unpickled(file):
    text = file.read_text()
    assert not any(call in text for call in ("import pickle", "torch.load(", "allow_pickle=True", "joblib"))
