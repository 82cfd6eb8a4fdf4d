"""Binarization of grey values: by a threshold, or dynamically in either of the two conventions that papers use.

====================  =========================================  ==============================================
convention            train                                      validation, test
====================  =========================================  ==============================================
``"threshold"``       1 where g is at least half of the largest  the same
``"fixed_test"``      x ~ Bernoulli(g / largest) at each batch   drawn once: validation, then test, in one stream
``"redrawn_test"``    x ~ Bernoulli(g / largest) at each batch   drawn at each batch, too
====================  =========================================  ==============================================

Figures obtained with the two dynamic conventions differ: always say which. The fixed draw is that of the public code of
Tomczak and Welling, "VAE with a VampPrior" (2018): ``numpy.random.seed(777)``, then one ``binomial(1, p)`` for the
validation rows and one for the test rows, p = g / 255 in single precision.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from unveil.data.messages import name_choices
from unveil.data.split import Redraw, Split, only_x
from unveil.hints import did_you_mean
from unveil.variables import Batch

FIXED_SEED = 777

Splits = dict[str, Split]


def threshold(splits: Mapping[str, Split], largest: float) -> Splits:
    """Every split with 1 where a grey value is at least half of the largest."""
    return {name: _with_x(split, only_x(split.stored) * 2.0 >= largest) for name, split in splits.items()}


def fixed_test(splits: Mapping[str, Split], largest: float) -> Splits:
    """Train drawn anew at each batch; validation, then test, drawn once from one stream of fixed seed."""
    state = np.random.RandomState(FIXED_SEED)
    drawn = {"train": Split(splits["train"].stored, Redraw(largest))}
    for name in ("validation", "test"):
        if name in splits:
            probabilities = only_x(splits[name].stored).numpy().astype(np.float32) / np.float32(largest)
            drawn[name] = _with_x(splits[name], torch.from_numpy(state.binomial(1, probabilities)))
    return drawn


def redrawn_test(splits: Mapping[str, Split], largest: float) -> Splits:
    """Every split drawn anew at each batch."""
    return {name: Split(split.stored, Redraw(largest)) for name, split in splits.items()}


CONVENTIONS: dict[str, tuple[Callable[[Mapping[str, Split], float], Splits], str]] = {
    "threshold": (threshold, "binarized: 1 where a value is at least half of {largest:g}"),
    "fixed_test": (
        fixed_test,
        "binarized, fixed test: train is drawn anew at each batch with probability {chance}; validation, then test, "
        f"are drawn once with numpy's RandomState({FIXED_SEED})",
    ),
    "redrawn_test": (
        redrawn_test,
        "binarized, redrawn test: every split is drawn anew at each batch with probability {chance}",
    ),
}


def check_convention(binarize: str | None) -> None:
    """Refuse a name that is no convention.

    Raises:
        ValueError: With the nearest name.
    """
    if binarize is not None and binarize not in CONVENTIONS:
        hint = did_you_mean(str(binarize), CONVENTIONS)
        raise ValueError(f"binarize: expected None or one of {name_choices(CONVENTIONS)}, got {binarize!r}{hint}")


def binarized(splits: Mapping[str, Split], levels: int | None, binarize: str) -> tuple[Splits, str]:
    """Binarize grey splits.

    Args:
        splits: The splits by name, whose x are grey values: 0..levels-1, or reals in [0, 1].
        levels: The number of grey levels; ``None`` for reals.
        binarize: The name of a convention.

    Returns:
        The binary splits, and a sentence that says how they were made.

    Raises:
        ValueError: Where the data is binary already, or is real and leaves [0, 1].
    """
    if levels == 2:
        raise ValueError(f"binarize: expected grey values, got data that is binary already; drop binarize={binarize!r}")
    if levels is None:
        for name, split in splits.items():
            low, high = only_x(split.stored).aminmax()
            if low < 0 or high > 1:
                raise ValueError(
                    f"binarize: expected grey values 0..L-1 or reals in [0, 1], got reals from {low:g} to {high:g} in "
                    f"split {name!r}; rescale them to [0, 1]"
                )
    largest = 1.0 if levels is None else float(levels - 1)
    chance = "value" if levels is None else f"value/{largest:g}"
    function, sentence = CONVENTIONS[binarize]
    return function(splits, largest), sentence.format(largest=largest, chance=chance)


def _with_x(split: Split, x: Tensor) -> Split:
    """The split with these binary entries."""
    return Split(Batch(x=x.to(torch.uint8), context=split.stored.context))
