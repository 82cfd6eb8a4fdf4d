"""Every Python block of the documentation runs, in order, page by page (fits are cut short)."""

import functools
import re
from pathlib import Path

import pytest
import torch

import unveil as uv

ROOT = Path(__file__).parents[2]
PAGES = [page for page in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")) if "```python" in page.read_text()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_code_of_a_page_runs(page, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(uv, "fit", functools.partial(uv.fit, epochs=1, progress=False), raising=False)
    torch.set_default_dtype(torch.float32)
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(), flags=re.S)
    namespace = {"uv": uv, "torch": torch, "x": (torch.rand(20, 8) < 0.5).float()}
    for block in blocks:
        if block.lstrip().startswith("def walk(self"):  # a fragment of a class
            continue
        if "uv.Learner(model)" in block:
            namespace["model"] = uv.VAE(uv.Variable((8,), levels=2), latent_dim=2)
        exec(compile(block, str(page), "exec"), namespace)
