"""All pictures of a run that make sense for its model and its data."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from unveil.plots.anatomy import Anatomy, examine, spread_rows
from unveil.plots.curves import training_curve
from unveil.plots.images import reconstructions_and_samples
from unveil.plots.information import rates
from unveil.plots.latents import latent_space
from unveil.plots.parameters import Picture, Shown, of_parameters
from unveil.plots.style import write
from unveil.plots.tables import clouds, marginals, pairs

if TYPE_CHECKING:
    from unveil.data import Data, Split
    from unveil.evaluation import Evaluation
    from unveil.training import Run

ROWS = 80
"""As many rows as a sheet of images could take."""
MANY = 500
"""Distributions and latent spaces are shown of the test rows if there are so many, of the training rows otherwise."""
LONG = 6
"""A model of more latent variables than this is a chain, of which no latent space is shown."""

log = logging.getLogger(__name__)


def save_all(run: Run, evaluation: Evaluation | None, folder: str | Path) -> list[Path]:
    """Draw what makes sense for a run, as PNG files in ``folder/plots``; log a line for what does not.

    Images: ``images.png``. Other data: ``marginals.png`` and ``pairs.png``. Models that are fitted by turns: their
    parameters, as ``components.png``, ``chain.png``, ``loadings.png``, ``topics.png`` or ``weights.png``. Always, where
    they can be drawn: ``latents.png``, ``rates.png`` and ``training.png``.

    Args:
        run: A fitted model.
        evaluation: What it was found to be worth; None leaves out what needs it.
        folder: The run's folder; pictures of an earlier run in it are replaced.

    Returns:
        The files written.
    """
    written = []
    for name, picture in pictures(run, evaluation).items():
        path = Path(folder) / "plots" / f"{name}.png"
        path.unlink(missing_ok=True)
        try:
            reason = picture if isinstance(picture, str) else None
            if not isinstance(picture, str):
                written.append(write(picture(), path))
        except NotImplementedError as error:  # torch's protocol: a distribution that can't be drawn from
            reason = str(error) or "a distribution does not know how to be drawn from"
        if reason is not None:
            log.info("no %s: %s", path.name, reason)
    return written


def pictures(run: Run, evaluation: Evaluation | None) -> dict[str, Picture]:
    """Every picture by name: what draws it, or why it can't be drawn."""
    model, data = run.model, run.data
    (few_name, few), (many_name, many) = judging(data), plenty(data)
    note = worth(evaluation, few_name)
    examples = spread_rows(few, ROWS)
    found = examine(model, examples)
    title = f"{type(model).__name__} on {data.name}"
    compared = f"{title}: {many_name} rows and samples"
    return {
        "images": without_images(found)
        or partial(reconstructions_and_samples, model, examples, title=f"{title}, {few_name} rows", note=note),
        "marginals": without_tables(found)
        or partial(marginals, model, many, names=data.columns, title=compared, note=note),
        "pairs": without_tables(found)
        or ("" if clouds(model, examples, found) > 1 else "fewer than two features are numbers of many levels")
        or partial(pairs, model, many, names=data.columns, title=compared, note=note),
        **of_parameters(model, Shown(data, many, title, note)),
        "latents": without_codes(found)
        or partial(latent_space, model, many, title=f"{title}: codes of {many_name} rows", note=note),
        "rates": rates_of(found, evaluation, f"{title}: the rate"),
        "training": partial(training_curve, run.metrics, title=f"{title}: training", note=note)
        if run.metrics
        else "no epoch was finished",
    }


def without_images(found: Anatomy) -> str:
    """Why there are no reconstructions and samples; empty where there are."""
    if not found.images:
        return "no image is observed"
    if not (found.generative or found.inferred or found.conditional):
        return "the model has neither a posterior to reconstruct with nor a prior to sample from"
    return ""


def without_tables(found: Anatomy) -> str:
    """Why data and samples can't be compared feature by feature; empty where they can."""
    if not found.vectors:
        return "nothing but images is observed" if found.images else "nothing but sequences is observed"
    return "" if found.generative else "the model can't be sampled from"


def without_codes(found: Anatomy) -> str:
    """Why there is no latent space; empty where there is one."""
    if not found.inferred:
        return "no latent variable has a posterior"
    if found.chains:
        return "states of a Markov chain have no order"
    return f"{len(found.inferred)} latent variables are a chain" if len(found.inferred) > LONG else ""


def rates_of(found: Anatomy, evaluation: Evaluation | None, title: str) -> Picture:
    """What draws the rates, or why there are none."""
    if evaluation is None:
        return "there is no evaluation"
    if not (found.inferred and evaluation.units):
        return "no latent variable has a posterior"
    return partial(rates, evaluation, title=title)


def worth(evaluation: Evaluation | None, split: str) -> str:
    """The bound as the evaluation prints it, and on which rows it was found."""
    if evaluation is None:
        return ""
    name = "log p(x)" if evaluation.elbo.bound == "exact" else "ELBO"
    return f"{split.capitalize()} {name} {evaluation.elbo}".replace("+-", "±")


def judging(data: Data) -> tuple[str, Split]:
    """The split that judges: test, else validation, else train."""
    return list(data.splits.items())[-1]


def plenty(data: Data) -> tuple[str, Split]:
    """The test rows if there are many, the training rows otherwise."""
    return ("test", data.test) if data.test is not None and len(data.test) >= MANY else ("train", data.train)
