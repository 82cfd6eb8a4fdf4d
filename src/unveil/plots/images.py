"""What a model of images makes: reconstructions and samples."""

from __future__ import annotations

from math import ceil

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from unveil.models import FromPosterior, FromPrior, Model, Term
from unveil.plots.anatomy import (
    Anatomy,
    classes_of,
    collect,
    described,
    drawn,
    examine,
    generate,
    is_image,
    latents_among,
    mean_of,
    readable,
    seeded,
    shape_of,
    thinned,
    value_of,
)
from unveil.plots.mosaics import Array, Mosaic, Range, as_colours, sheet
from unveil.variables import Batch

ROWS = 8
MOST_CLASSES = 10


def reconstructions(model: Model, batch: Batch, *, title: str = "", note: str = "") -> Figure:
    """Images above their reconstructions: the mean of p(x | z) at one draw of z from q(z | x).

    A model without a posterior (GSNN) draws z from its prior given the example's context: these are predictions.

    Args:
        model: A model of images.
        batch: The images, e.g. 16 of them.
        title: The figure's title; what is shown by default.
        note: A line below it.

    Raises:
        ValueError: If no image is observed, or if a model without a posterior has no context to predict from.
    """
    found = examine(model, batch)
    name = image_of(found)
    columns = min(len(batch), columns_for(found.images[name]))
    return sheet(title, note, [reconstructed(model, batch, found, name, columns)])


def samples(
    model: Model,
    n: int = 64,
    *,
    context: Tensor | None = None,
    draws: bool = False,
    title: str = "",
    note: str = "",
) -> Figure:
    """New images: the means of p(x | z), or draws from it, for z drawn from the prior; draws from p(x) without a z.

    Args:
        model: A model of images.
        n: How many.
        context: What is conditioned on, (rows, features): one row of images for each.
        draws: Whether to show draws from p(x | z) rather than its means.
        title: The figure's title; what is shown by default.
        note: A line below it.

    Raises:
        ValueError: If the model generates no images, or has a context and none is given.
    """
    if n < 1:
        raise ValueError(f"n: expected at least 1 image, got {n}")
    if context is None and model.context is not None:
        raise ValueError(
            f"context: the model is conditioned on {model.context}, got None; pass (rows, features), e.g. "
            "torch.eye(classes) for one row of images a class"
        )
    name, shape, averaged, latent = generated_image(model, context)
    rows = ceil(n / columns_for(shape)) if context is None else len(context)
    columns = min(n, columns_for(shape)) if context is None else max(1, n // len(context))
    made = sampled(model, name, (rows, columns), context, None, draws=draws or not averaged, latent=latent)
    return sheet(title, note, [made])


def reconstructions_and_samples(
    model: Model, batch: Batch, *, title: str = "Reconstructions and samples", note: str = ""
) -> Figure:
    """Both in one picture: images above their reconstructions on the left, samples on the right.

    Without a latent variable there is nothing to reconstruct from, and the data itself stands on the left.

    Args:
        model: A model of images.
        batch: Images to reconstruct, of which as many are taken as there is room for, evenly spaced. Samples are drawn
            for their contexts, where there are contexts.
        title: The figure's title.
        note: A line below it.

    Raises:
        ValueError: If no image is observed, or if nothing can be drawn.
    """
    found = examine(model, batch)
    name = image_of(found)
    columns = columns_for(found.images[name])
    contexts, labels = row_contexts(batch.context)
    rows = ROWS if contexts is None else len(contexts)
    few = thinned(batch, columns * (ceil(rows / 2) if found.latent else rows))
    mosaics = []
    data = means_and_data(model, few, name)[1]
    limits = image_range(model, name, data)
    if not found.latent:
        rows = min(rows, max(1, len(few) // columns)) if contexts is None else rows
        seen = in_rows(as_colours(data, limits, few.mask_of(name)), columns)
        mosaics.append(Mosaic("Data", "as observed", seen[:rows]))
    elif found.inferred or found.conditional:
        mosaics.append(reconstructed(model, few, found, name, columns))
    if found.generative:
        draws = name not in found.averaged
        mosaics.append(
            sampled(model, name, (rows, columns), contexts, limits, labels=labels, draws=draws, latent=found.latent)
        )
    if not mosaics:
        raise ValueError("model: has neither a posterior to reconstruct with nor a prior to sample from")
    return sheet(title, note, mosaics)


def reconstructed(model: Model, batch: Batch, found: Anatomy, name: str, columns: int) -> Mosaic:
    """Pairs of rows: images, and what the model makes of them."""
    if not (found.inferred or found.conditional):
        raise ValueError("model: has no posterior to reconstruct with; draw samples instead")
    means, data = means_and_data(model, batch, name)
    limits = image_range(model, name, data)
    mask = batch.mask_of(name)
    upper = in_rows(as_colours(data, limits, mask), columns)
    lower = in_rows(as_colours(means, limits), columns)
    tiles = np.stack([row for pair in zip(upper, lower, strict=True) for row in pair])
    made = "the mean of" if name in found.averaged else "a draw from"
    if found.inferred:
        return Mosaic("Reconstructions", f"pairs: data, then {made} p(x | z), z from q(z | x)", tiles, paired=True)
    return Mosaic("Predictions", f"pairs: data, then {made} p(x | z, c), z from p(z | c)", tiles, paired=True)


def sampled(
    model: Model,
    name: str,
    grid: tuple[int, int],
    contexts: Tensor | None,
    limits: Range | None,
    *,
    labels: tuple[str, ...] = (),
    draws: bool = False,
    latent: bool = True,
) -> Mosaic:
    """A grid of new images, one row a context where there are contexts."""
    rows, columns = grid
    particles, batch = (1, Batch(size=rows * columns)) if contexts is None else (columns, Batch(context=contexts))
    values = generate(model, batch, (name,), particles, draws=draws)[name]
    values = values.transpose(0, 1) if contexts is not None else values.reshape(rows, columns, *values.shape[2:])
    limits = limits or image_range(model, name, values)
    made = f"{'draws from' if draws else 'means of'} p(x | z), z from the prior" if latent else "draws from the model"
    given = "" if contexts is None else ", one row a class" if labels else ", one row a context"
    return Mosaic("Samples", made + given, as_colours(values, limits), labels=labels)


def means_and_data(model: Model, batch: Batch, name: str) -> tuple[Tensor, Tensor]:
    """The mean of p(x | z) at one draw of z (a draw from p where it has no mean), and the data, (B, C, H, W) each."""
    generator = seeded(model)

    def keep(term: Term) -> Tensor | None:
        if term.name != name:
            return None
        mean, value = mean_of(term), value_of(term)
        mean = drawn(term, generator) if mean is None else mean
        return None if mean is None or value is None else torch.stack([mean, value.to(mean.dtype)], dim=2)

    means, data = collect(model, batch, FromPosterior(1, generator), keep)[name][0].unbind(1)
    return means, data


def generated_image(model: Model, context: Tensor | None) -> tuple[str, tuple[int, ...], bool, bool]:
    """The name and shape of the image that a model generates, and whether its distribution has a mean and latents.

    Raises:
        ValueError: If there is none.
    """
    found: list[Term] = []
    batch = Batch(size=1) if context is None else Batch(context=context[:1].to(model.device))
    with model.at_rest():
        model.run(batch, FromPrior(generator=seeded(model)), found.append)
    for term in found:
        if term.data and readable(term) and is_image(term) and term.name.partition("/")[0] not in model.latents:
            return term.name, shape_of(term), mean_of(term) is not None, bool(latents_among(found))
    raise ValueError("model: expected one that generates images (channels, height, width), got none; use marginals")


def image_range(model: Model, name: str, images: Tensor) -> Range:
    """Black and white as the model's description of its data has them, as these images have them without one."""
    variable = described(model, name, tuple(images.shape[-3:]))
    return Range.of(None if variable is None else variable.levels, images)


def image_of(found: Anatomy) -> str:
    """The name of the first image variable.

    Raises:
        ValueError: If there is none.
    """
    if not found.images:
        raise ValueError("batch: expected images (channels, height, width) among what is observed, got none")
    return next(iter(found.images))


def columns_for(shape: tuple[int, ...]) -> int:
    """How many images of that shape stand side by side: 8 square ones, fewer of wide ones."""
    _, height, width = shape
    return min(2 * ROWS, max(2, round(ROWS * height / width)))


def row_contexts(context: Tensor | None) -> tuple[Tensor | None, tuple[str, ...]]:
    """A context for each row of samples, and what the rows are called.

    Classes in ascending order, each for as many rows as there is room for; the first examples' contexts where they
    are no classes.
    """
    if context is None:
        return None, ()
    classes = classes_of(context)
    if classes is None:
        return context[:ROWS], ()
    present = classes.unique()[:MOST_CLASSES]
    rows = ROWS if len(present) <= ROWS else MOST_CLASSES
    chosen = present[torch.arange(rows) * len(present) // rows]
    one_hot = torch.nn.functional.one_hot(chosen, context.shape[1]).to(context)
    return one_hot, tuple(str(int(label)) for label in chosen)


def in_rows(images: Array, columns: int) -> Array:
    """(N, H, W, 3) as (rows, columns, H, W, 3), filled up with white."""
    rows = ceil(len(images) / columns)
    white = np.ones((rows * columns - len(images), *images.shape[1:]))
    return np.concatenate([images, white]).reshape(rows, columns, *images.shape[1:])
