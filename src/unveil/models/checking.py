"""Whether data is what a model is a model of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from torch import Tensor

from unveil.variables import Batch, Variable

if TYPE_CHECKING:
    from unveil.models.model import Model


def check_kind(model: Model, x: Variable | Mapping[str, Variable] | None, context: Variable | None) -> None:
    """Refuse data of another kind than the model was made for.

    Args:
        model: Says what it observes and is conditioned on, or does not.
        x: What the data is; None where nobody says.
        context: What it comes with.

    Raises:
        ValueError: That says what was expected and what came.
    """
    if x is None:
        return
    if model.x is not None and model.x != x:
        raise ValueError(
            f"data: expected {model.x}, which the model was made for, got {x}; take such data, or make a model of "
            "this (x=data.variable)"
        )
    if model.context is not None and model.context != context:
        raise ValueError(
            f"context: expected {model.context}, which the model was made for, got {context or 'none'}; "
            "load the data with its context (context='label'), or make a model of this (context=data.context)"
        )


def check_values(model: Model, batch: Batch) -> None:
    """Refuse data that the model is not a model of.

    Args:
        model: Says what it observes, or does not.
        batch: Some or all examples.

    Raises:
        ValueError: That names the field, what was expected and what came.
    """
    expected = model.x if isinstance(model.x, Mapping) else {"x": model.x}
    if model.x is not None and all(batch[name] is None for name in expected):
        raise ValueError(f"{', '.join(expected)}: expected data to judge the model by, got none")
    for name, variable in expected.items():
        observed = batch[name]
        if variable is not None and observed is not None:
            _check_variable(name, observed, variable, batch.mask_of(name))
    if model.context is not None:
        if batch.context is None:
            raise ValueError(
                f"context: the model is conditioned on {model.context}, got None; hand over Batch(x=..., context=...)"
            )
        _check_variable("context", batch.context, model.context, None)


def _check_variable(name: str, tensor: Tensor, expected: Variable, mask: Tensor | None) -> None:
    shape = tuple(tensor.shape[1:])
    if shape != expected.shape:
        raise ValueError(f"{name}: expected (examples, *{expected.shape}), got shape {tuple(tensor.shape)}")
    seen = tensor if mask is None else tensor[mask]
    if seen.is_floating_point() and not seen.isfinite().all():
        raise ValueError(f"{name}: expected finite numbers, got NaN or infinity; mark missing entries by a mask")
    if expected.levels is not None and seen.numel():
        low, high = seen.min().item(), seen.max().item()
        if low < 0 or high > expected.levels - 1:
            top = expected.levels - 1
            raise ValueError(f"{name}: expected levels from 0 to {top}, got values from {low:g} to {high:g}")
        if seen.is_floating_point() and (seen != seen.round()).any():
            between = seen[seen != seen.round()][0].item()
            raise ValueError(
                f"{name}: expected whole numbers, which the likelihood has probabilities for, got {between:g}; "
                "binarize or round the data"
            )
