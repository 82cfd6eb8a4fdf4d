"""What every test runs under: double precision, a fixed seed, and torch's state given back afterwards."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def _double_precision_and_fixed_seed() -> Iterator[None]:
    dtype = torch.get_default_dtype()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        torch.set_default_dtype(torch.float64)
        yield
        torch.set_default_dtype(dtype)


@pytest.fixture
def generator() -> torch.Generator:
    """An explicit stream of random numbers, unrelated to torch's own (an equal seed would give equal numbers)."""
    return torch.Generator().manual_seed(2026)
