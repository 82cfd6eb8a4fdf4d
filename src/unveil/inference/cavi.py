"""Mean-field coordinate ascent: variational Bayes for conjugate-exponential models.

With q(z, theta) = q(z) q(theta), each factor has a closed form given the others (Attias 2000; Blei et al. 2017)::

    log p(X) >= F = E_q[log p(X, z | theta)] + H[q(z)] - KL(q(theta) || p(theta))

and each turn, of q(z) or of q(theta), raises F.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from unveil.evaluation import Estimate
from unveil.inference.climbing import Climbed, climb
from unveil.models.alternating import Alternating
from unveil.models.em import EMModel
from unveil.progress import Show


@dataclass
class Inferred(Climbed):
    """A model whose parameters' distribution was found, and how it went."""

    @property
    def evidence(self) -> Estimate:
        """The lower bound F on log p(X) of all rows together, in nats."""
        total = self.rows.weight.sum().item()
        return Estimate(self.bounds[-1] * total, 0.0, math.nan, 0, len(self.rows), "lower")

    def __str__(self) -> str:
        found = self.evidence
        return "\n".join([f"log-evidence of the {found.examples:,} rows {found}", *self.story])


def fit(
    model: Alternating,
    x: Any,
    *,
    weight: Any = None,
    starts: int | None = None,
    steps: int = 1000,
    tolerance: float = 1e-5,
    batch_size: int | None = None,
    seed: int = 0,
    progress: bool | Show = True,
) -> Inferred:
    """Find q(theta) by coordinate ascent.

    Args:
        model: What to fit; its q(theta) is changed.
        x: The data, as :func:`unveil.inference.em.fit` takes it; a Batch where the model is conditioned on something.
        weight: How much each row counts, (N,); 1 by default.
        starts: How many starts to try; 0 goes on from the q(theta) that the model has.
        steps: The largest number of sweeps.
        tolerance: How far below its maximum the bound may stay, in nats per row, as far as its gains tell.
        batch_size: Rows per minibatch, for stochastic variational inference (Hoffman et al. 2013); all by default.
        seed: Decides every random number.
        progress: Whether to show progress.

    Returns:
        The model with how it went; ``print`` it.

    Raises:
        TypeError: If the model is none that this can fit, or the data none of these.
        ValueError: If an argument is out of range, or the data is not what the model is a model of.
        FloatingPointError: If the bound is not finite, or falls.

    Example:
        >>> import torch
        >>> from unveil.models import BayesianGaussianMixture
        >>> from unveil.variables import Variable
        >>> x = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
        >>> fit(BayesianGaussianMixture(Variable((2,)), components=3), x, progress=False).evidence.bound
        'lower'
    """
    if not isinstance(model, Alternating) or isinstance(model, EMModel):
        fix = "em.fit" if isinstance(model, EMModel) else "uv.fit"
        raise TypeError(
            "model: expected one whose parameters have a distribution (such as BayesianGaussianMixture), got "
            f"{type(model).__name__}; use {fix}"
        )
    climbed = climb(
        model,
        x,
        doing="coordinate ascent",
        weight=weight,
        starts=starts,
        steps=steps,
        tolerance=tolerance,
        batch_size=batch_size,
        seed=seed,
        progress=progress,
    )
    return Inferred(**vars(climbed))
