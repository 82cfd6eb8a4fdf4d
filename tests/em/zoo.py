"""Data for the models that EM fits: clusters of levels or of real numbers, sequences that change clusters."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from tests.registry import EM_MODELS
from unveil.inference import em
from unveil.inference.em import Fitted
from unveil.models import EMModel, HiddenMarkov
from unveil.variables import Batch

SEQUENCES = [name for name in EM_MODELS if "HMM" in name or name == "HiddenMarkov"]
MIXTURES = [name for name in EM_MODELS if "Mixture" in name]
REAL_NUMBERS = [name for name in EM_MODELS if EM_MODELS[name]().x.levels is None]


def rows(model: EMModel, count: int = 60, seed: int = 0) -> Tensor:
    """Examples of two kinds; sequences whose observations are of two kinds."""
    random, x = np.random.default_rng(seed), model.x
    steps = isinstance(model, HiddenMarkov)
    kind = random.integers(0, 2, (count, x.shape[0])).cumsum(1) % 2 if steps else random.integers(0, 2, (count, 1))
    kind = kind.reshape(*kind.shape, *[1] * (len(x.shape) - 1)) if steps else kind
    if x.levels is None:
        return torch.from_numpy(random.normal(size=(count, *x.shape)) * (1 + kind) + 3 * kind) @ mixing(x.shape[-1])
    p = np.where(kind == 0, 0.25, 0.7)
    return torch.from_numpy(random.binomial(x.levels - 1, np.broadcast_to(p, (count, *x.shape))).astype(float))


def mixing(size: int) -> Tensor:
    """Makes entries depend on each other."""
    return torch.eye(size) + 0.4 * torch.ones(size, size).tril(-1)


def holed(x: Tensor, share: float = 0.25, seed: int = 0) -> Tensor:
    """With NaN here and there, and one row of nothing else."""
    holes = torch.from_numpy(np.random.default_rng(seed).random(x.shape) < share)
    holes[4] = True
    return x.masked_fill(holes, torch.nan)


def weights(count: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).random(count) * 3)


def fitted(name: str, x: Tensor, **options: object) -> Fitted:
    """A registered model, fitted in silence from a few starts, to a few steps."""
    return em.fit(EM_MODELS[name](), x, **{"progress": False, "starts": 2, "steps": 15, "tolerance": 0, **options})


def batch(x: Tensor) -> Batch:
    """Data whose NaN are missing."""
    mask = ~x.isnan()
    return Batch(x=x.nan_to_num(), mask=None if mask.all() else mask)


def state(model: EMModel) -> dict[str, Tensor]:
    return {key: value.detach().clone() for key, value in model.state_dict().items()}
