"""What the tests of data share."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from unveil.data import Split


@pytest.fixture(autouse=True)
def single_precision(_double_precision_and_fixed_seed: None) -> Iterator[None]:
    """Torch's default type as users have it: data is stored in it."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    yield
    torch.set_default_dtype(before)


@pytest.fixture
def double_precision(single_precision: None) -> None:
    """Double precision as the default; given back by ``single_precision``."""
    torch.set_default_dtype(torch.float64)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """Keeps what Hugging Face Datasets caches out of the user's folders, and the tests off the network."""
    config = pytest.importorskip("datasets").config
    monkeypatch.setattr(config, "HF_DATASETS_CACHE", tmp_path_factory.getbasetemp() / "datasets")
    monkeypatch.setattr(config, "HF_ENDPOINT", "http://127.0.0.1:9")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets: the environment variable UNVEIL_DATA, or shared/data beside the repository."""
    folder = Path(os.environ.get("UNVEIL_DATA", Path(__file__).parents[3] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("no folder of real data: set UNVEIL_DATA")
    return folder


@pytest.fixture(scope="session")
def all_x() -> Callable[[Split], np.ndarray]:
    """All observations of a split."""
    return lambda split: split.rows(slice(None)).x.numpy()
