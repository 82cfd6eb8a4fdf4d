"""Expectation maximisation (Dempster, Laird & Rubin 1977).

For any q, log p(x) >= F(q, theta) = E_q[log p(x, z | theta)] + H[q], the negative free energy (Neal & Hinton 1998)::

    E-step    q(z | x) = p(z | x, theta): F = log p(x | theta), the gap is zero
    M-step    theta = argmax_theta E_q[log p(x, z | theta)], from expected statistics summed over examples

Neither lowers F, so that log p(x) never falls.
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
class Fitted(Climbed):
    """A model that EM has fitted, and how it went: its bound is the mean of log p(x), exactly."""

    model: EMModel

    @property
    def log_likelihood(self) -> Estimate:
        """The mean of log p(x) over the rows that it was fitted to; with weights, over rows that are as many."""
        mean, weight = self.bounds[-1], self.rows.weight
        effective = (weight.sum().square() / weight.square().sum()).item()
        error = math.sqrt(max(self.square - mean**2, 0) / (effective - 1)) if effective > 1 else math.nan
        return Estimate(mean, 0.0, error, 0, len(weight), "exact")

    @property
    def bic(self) -> float:
        """The Bayesian information criterion of all rows, -2 log p(X) + free parameters x log N: lower is better.

        N counts the steps of sequences; a weight is how often a row was seen."""
        return criterion(self.model, self.log_p, math.log(self.observations))

    @property
    def aic(self) -> float:
        """Akaike's information criterion of all rows, -2 log p(X) + 2 x free parameters: lower is better."""
        return criterion(self.model, self.log_p, 2.0)

    @property
    def log_p(self) -> float:
        """log p(X) of all rows together, in nats."""
        return self.rows.weight.sum().item() * self.bounds[-1]

    @property
    def observations(self) -> float:
        """How many observations were seen, in all."""
        return self.model.observations(self.statistics, self.rows.weight.sum().item())

    def __str__(self) -> str:
        found = self.log_likelihood
        criteria = f"BIC {self.bic:,.1f}, AIC {self.aic:,.1f} ({self.model.free:,} free parameters)"
        return "\n".join([f"log-likelihood {found} of the {found.examples:,} rows; {criteria}", *self.story])


def criterion(model: EMModel, log_p: float, price: float) -> float:
    """-2 log p(X) + price x free parameters: an information criterion."""
    return -2 * log_p + price * model.free


def fit(
    model: EMModel,
    x: Any,
    *,
    weight: Any = None,
    starts: int | None = None,
    steps: int = 1000,
    tolerance: float = 1e-5,
    batch_size: int | None = None,
    seed: int = 0,
    progress: bool | Show = True,
) -> Fitted:
    """Fit a model by expectation maximisation.

    Args:
        model: What to fit; its parameters are changed.
        x: The data: a tensor or an array (N, \\*shape), a Batch, a Split, or Data, of which the training rows are
            taken. NaN is missing, and marginalised. It is looked at a few rows at a time: a ``numpy.memmap`` need not
            fit into memory.
        weight: How much each row counts, (N,); 1 by default.
        starts: How many starts to try, half of them by k-means++ and half by random centres; 0 goes on from the
            parameters that the model has. By default 8 where maxima are many, 1 where they are not.
        steps: The largest number of steps, those by which starts were compared included (but on more than 20,000 rows,
            where these come beside).
        tolerance: How far below its maximum the mean log-likelihood may stay, in nats per row, as far as its gains
            tell; 0 to go on until a step gains nothing.
        batch_size: Rows per M-step, for stepwise EM (Cappe & Moulines 2009), where data is large: a step of ``steps``
            is then a pass over all rows. All rows by default.
        seed: Decides every random number.
        progress: Whether to show progress; or what to call with what is being done, how much of it is done, and of how
            much.

    Returns:
        The model with how it went; ``print`` it.

    Raises:
        TypeError: If the model is none that EM can fit, or the data none of these.
        ValueError: If an argument is out of range, or the data is not what the model is a model of.
        FloatingPointError: If the bound is not finite, or falls.

    Example:
        >>> import torch
        >>> from unveil.models import GaussianMixture
        >>> from unveil.variables import Variable
        >>> x = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
        >>> fit(GaussianMixture(Variable((2,)), components=2), x, progress=False).log_likelihood.bound
        'exact'
    """
    if not isinstance(model, EMModel):
        raise TypeError(
            "model: expected one whose posterior and M-step have closed forms (an EMModel, such as GaussianMixture), "
            f"got {type(model).__name__}; use {'cavi.fit' if isinstance(model, Alternating) else 'uv.fit'}"
        )
    climbed = climb(
        model,
        x,
        doing="EM",
        weight=weight,
        starts=starts,
        steps=steps,
        tolerance=tolerance,
        batch_size=batch_size,
        seed=seed,
        progress=progress,
    )
    return Fitted(**vars(climbed))
