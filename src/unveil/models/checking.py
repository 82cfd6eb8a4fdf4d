"""Whether data is what a model is a model of."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from unveil.distributions import Masked
from unveil.variables import Batch, Variable

if TYPE_CHECKING:
    from unveil.models.model import Model
    from unveil.models.trace import Trace


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


def check_shapes(model: Model, batch: Batch) -> None:
    """Refuse data that has not the shape which the model says; costs next to nothing.

    Args:
        model: Says what it observes and is conditioned on, or does not.
        batch: Some examples, or none where data is to be generated.

    Raises:
        ValueError: That names the field, what was expected and what came.
    """
    for name, variable in _variables(model).items():
        values = batch[name]
        if values is not None:
            _check_shape(name, values, variable)
    if model.context is not None:
        if batch.context is None:
            raise ValueError(
                f"context: the model is conditioned on {model.context}, got None; hand over context=..., or a "
                "Batch(x=..., context=...)"
            )
        _check_shape("context", batch.context, model.context)
    elif batch.context is not None and model.x is not None:
        raise ValueError(
            f"context: expected none, since the model is conditioned on nothing, got {tuple(batch.context.shape[1:])} "
            "numbers for each example; load the data without a context, or make the model with one "
            "(context=data.context)"
        )


def check_values(model: Model, batch: Batch) -> None:
    """Refuse data that the model is not a model of, looking at every value.

    Args:
        model: Says what it observes, or does not.
        batch: Some or all examples.

    Raises:
        ValueError: That names the field, what was expected and what came.
    """
    if torch.compiler.is_compiling():  # what depends on values can't be compiled
        return
    expected = _variables(model)
    if expected and all(batch[name] is None for name in expected):
        got = "none" if not batch.observed else f"{', '.join(batch.observed)}; hand over a mapping by name"
        raise ValueError(f"{', '.join(expected)}: expected data to judge the model by, got {got}")
    check_shapes(model, batch)
    for name, variable in expected.items():
        values, mask = batch[name], batch.mask_of(name)
        if values is not None:
            _check_support(name, values if mask is None else values[mask], variable)
    if model.context is not None and batch.context is not None:
        _check_support("context", batch.context, model.context)


def check_scored(traces: Sequence[Trace], batch: Batch) -> None:
    """Refuse a walk that does not score its data; warn of one that seems to score entries that are missing.

    Args:
        traces: What came of the walk.
        batch: What was walked over.

    Raises:
        ValueError: That says what the walk should do.
    """
    observed = [term for trace in traces for term in trace.observed if term.value is not None]
    if batch.observed and not observed:
        names = ", ".join(batch.observed)
        raise ValueError(
            f"walk: {names} was handed over, and no variable of the walk takes it as its value; declare the data, "
            f'visit("x", ..., value=batch["{next(iter(batch.observed))}"])'
        )
    for name in untold(traces, batch):
        warnings.warn(
            f"mask: entries of {name} are marked as missing, and the walk does not tell its variable; unless a "
            f'distribution of yours knows, hand the mask over: visit("{name}", ..., value=batch["{name}"], '
            f'mask=batch.mask_of("{name}"))',
            stacklevel=3,
        )


def untold(traces: Sequence[Trace], batch: Batch) -> list[str]:
    """The variables with missing entries that a walk seems to score as if nothing were missing."""
    terms = {term.name: term for trace in traces for term in trace.observed if term.p is not None}
    return [
        name
        for name in batch.observed
        if batch.mask_of(name) is not None and name in terms and not isinstance(terms[name].p, Masked)
    ]


def discrete(model: Model) -> bool:
    """Whether all that the model observes are whole numbers, so that its likelihood is a probability."""
    variables = _variables(model).values()
    return bool(variables) and all(variable.levels is not None for variable in variables)


def _variables(model: Model) -> Mapping[str, Variable]:
    if model.x is None:
        return {}
    return model.x if isinstance(model.x, Mapping) else {"x": model.x}


def _check_shape(name: str, values: Tensor, expected: Variable) -> None:
    if values.shape[1:] != expected.shape:
        sizes = ", ".join(map(str, expected.shape))
        hint = ""
        if name == "context" and values.dim() == 1 and expected.levels == 2:
            hint = f"; classes are one-hot vectors: torch.nn.functional.one_hot(labels, {sizes})"
        raise ValueError(f"{name}: expected (examples, {sizes}), got shape {tuple(values.shape)}{hint}")


def _check_support(name: str, seen: Tensor, expected: Variable) -> None:
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
