"""Where lower precision of matrix products, which autocast chooses for nets, would be wrong."""

from __future__ import annotations

import torch
from torch import Tensor


def full_precision(x: Tensor) -> torch.autocast:
    """A context without autocast on x's device: products of distances, and of maps that must be undone exactly."""
    return torch.autocast(x.device.type, enabled=False)
