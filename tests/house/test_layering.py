"""Dependencies point one way: each package may import those named here, and no others of this project."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "unveil"
BASE = {"variables", "config", "parts"}
PARTS = BASE | {"distributions", "nets"}
MODELS = PARTS | {"flows", "priors", "likelihoods", "posteriors", "components", "models"}
ALLOWED = {
    "files": set(),
    "hints": set(),
    "progress": set(),
    "variables": set(),
    "config": {"variables"},
    "parts": {"config", "variables"},
    "distributions": set(),
    "nets": BASE,
    "flows": PARTS,
    "priors": PARTS,
    "likelihoods": PARTS,
    "posteriors": PARTS,
    "components": PARTS,
    "models": MODELS | {"files"},
    "objectives": MODELS,
    "gradients": MODELS | {"objectives"},
    "evaluation": MODELS | {"progress"},
    "data": {"variables", "hints"},
    "inference": MODELS | {"evaluation", "data", "training", "files", "progress"},
    "training": MODELS | {"objectives", "gradients", "data", "files", "progress"},
    "plots": MODELS | {"evaluation", "data", "training", "files"},
    "demos": MODELS | {"objectives", "evaluation", "data", "training", "inference", "plots", "files"},
    "cli": MODELS
    | {"objectives", "gradients", "evaluation", "data", "training", "inference", "plots", "files", "hints"},
}


def imported(file: Path) -> set[str]:
    """The project's packages that a file imports when it runs (annotations apart)."""
    found: set[str] = set()
    pending: list[ast.AST] = [ast.parse(file.read_text())]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        names = [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module == "unveil":
            names += [f"unveil.{alias.name}" for alias in node.names]
        found |= {name.split(".")[1] for name in names if name.startswith("unveil.") and "__" not in name}
        pending.extend(ast.iter_child_nodes(node))
    return found


@pytest.mark.parametrize("package", ALLOWED)
def test_a_package_imports_only_what_is_above_it(package):
    place = SOURCE / package
    files = place.rglob("*.py") if place.is_dir() else [place.with_suffix(".py")]
    for file in files:
        foreign = imported(file) - ALLOWED[package] - {package}
        assert not foreign, f"{file.relative_to(SOURCE)} imports {sorted(foreign)}"


def test_every_package_has_its_place():
    packages = {path.stem for path in SOURCE.iterdir() if not path.stem.startswith("__")}
    assert packages == set(ALLOWED)
