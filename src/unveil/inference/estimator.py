"""Models that are fitted by turns, behind scikit-learn's interface: for its pipelines and its cross-validation.

search = GridSearchCV(EMEstimator(partial(GaussianMixture)), {"model__components": [2, 3, 4]}).fit(x)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, DensityMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from unveil.components import Statistics
from unveil.inference import cavi, em
from unveil.models import (
    Alternating,
    BayesianGaussianMixture,
    EMModel,
    GaussianMixture,
    HiddenMarkov,
    MixtureModel,
)
from unveil.models.sources import FromPosterior
from unveil.variables import Batch, Variable

Array = NDArray[Any]


class EMEstimator(TransformerMixin, DensityMixin, BaseEstimator):
    """A model as a scikit-learn estimator.

    Args:
        model: Makes the model from what is observed: a class such as ``GaussianMixture``, or functools.partial of one.
            Its keywords are parameters of the estimator: ``model__components``.
        levels: The number of levels of whole numbers 0, 1, ...; None for real numbers.
        starts: How many starts to try; as many as the model needs by default.
        steps: The largest number of steps.
        tolerance: How far below its maximum the bound may stay, in nats per row.
        seed: Decides every random number.

    Attributes:
        model_: The fitted model.
        fitted_: How it went.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(100, 2))
        >>> EMEstimator(partial(GaussianMixture, components=2)).fit(x).predict(x).shape
        (100,)
    """

    def __init__(
        self,
        model: Callable[..., Alternating] = GaussianMixture,
        *,
        levels: int | None = None,
        starts: int | None = None,
        steps: int = 1000,
        tolerance: float = 1e-5,
        seed: int = 0,
    ) -> None:
        self.model = model
        self.levels = levels
        self.starts = starts
        self.steps = steps
        self.tolerance = tolerance
        self.seed = seed

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn's tools may assume: NaN is missing."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters by name, those of the model's factory among them."""
        found = {name: getattr(self, name) for name in ("model", "levels", "starts", "steps", "tolerance", "seed")}
        if deep and isinstance(self.model, partial):
            found |= {f"model__{name}": value for name, value in self.model.keywords.items()}
        return found

    def set_params(self, **params: Any) -> Self:
        """Set parameters by name."""
        own = {name: value for name, value in params.items() if not name.startswith("model__")}
        of_model = {name.removeprefix("model__"): value for name, value in params.items() if name not in own}
        known = self.get_params(deep=False)
        if unknown := sorted(set(own) - set(known)):
            raise ValueError(f"{unknown[0]}: expected one of {', '.join(known)}, or model__..., got another")
        for name, value in own.items():
            setattr(self, name, value)
        if of_model:
            self.model = partial(self.model, **of_model)
        return self

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Fit to rows, (N, D), or sequences, (N, T, D); NaN is missing."""
        x = self._rows(X, reset=True)
        self.model_ = self._made(x)
        fit: Callable[..., Any] = em.fit if isinstance(self.model_, EMModel) else cavi.fit
        weight = None if sample_weight is None else np.asarray(sample_weight)
        self.fitted_ = fit(
            self.model_, x, weight=weight, starts=self.starts, steps=self.steps, tolerance=self.tolerance,
            seed=self.seed, progress=False,
        )  # fmt: skip
        self.n_iter_ = len(self.fitted_.bounds) - 1
        self.converged_ = self.fitted_.converged
        return self

    def _made(self, x: Array) -> Alternating:
        """The model of such data, not yet fitted."""
        try:
            return self.model(Variable(x.shape[1:], self.levels))
        except ValueError as error:
            if self.levels is None and (np.isnan(x) | ((x >= 0) & (x == np.rint(x)))).all():
                most = int(np.nanmax(x)) + 1
                raise ValueError(
                    f"levels: expected the number of levels of whole numbers, such as {most}, got None, for which they "
                    f"are real numbers: {error}"
                ) from error
            raise

    def score_samples(self, X: Any) -> Array:
        """log p(x) of each row, (N,) in nats: exact. A model that only has a bound on it has no scores."""
        batch = self._batch(X)
        if not self.model_.exact_posterior:
            raise AttributeError(f"score: log p(x) of a {type(self.model_).__name__} is not exact; use uv.evaluate")
        with torch.no_grad():
            generator = torch.Generator().manual_seed(self.seed)  # of an exact q every draw has the same weight
            return self.model_.trace(batch, FromPosterior(1, generator)).log_w[0].numpy()

    def score(self, X: Any, y: Any = None) -> float:
        """The mean of log p(x), in nats per row."""
        return float(self.score_samples(X).mean())

    def bic(self, X: Any) -> float:
        """The Bayesian information criterion of these rows: lower is better."""
        model, log_p, statistics = self._looked(X)
        return em.criterion(model, log_p, math.log(model.observations(statistics, len(X))))

    def aic(self, X: Any) -> float:
        """Akaike's information criterion of these rows: lower is better."""
        model, log_p, _ = self._looked(X)
        return em.criterion(model, log_p, 2.0)

    def _looked(self, X: Any) -> tuple[EMModel, float, Statistics]:
        """The model, log p(X) of all rows, and their expected statistics."""
        batch = self._batch(X)
        if not isinstance(self.model_, EMModel):
            raise AttributeError(
                f"bic, aic: a {type(self.model_).__name__} has no maximum likelihood; use its evidence"
            )
        with torch.no_grad():
            log_p, statistics = self.model_.expect(self.model_.some(batch))
        return self.model_, log_p.sum().item(), statistics

    def predict_proba(self, X: Any) -> Array:
        """The responsibilities of a mixture, (N, K)."""
        check_is_fitted(self, "model_")
        if not isinstance(self.model_, MixtureModel | HiddenMarkov | BayesianGaussianMixture):
            raise AttributeError(f"predict_proba: a {type(self.model_).__name__} has no responsibilities")
        found: Array = self.model_.responsibilities(self._batch(X)).numpy()
        return found

    def predict(self, X: Any) -> Array:
        """The likeliest component of each row, (N,)."""
        return self.predict_proba(X).argmax(-1)

    def fit_predict(self, X: Any, y: Any = None, sample_weight: Any = None) -> Array:
        """Fit, and give the likeliest component of each row, (N,)."""
        return self.fit(X, sample_weight=sample_weight).predict(X)

    def transform(self, X: Any) -> Array:
        """The mode of p(z | x): the factors of factor analysis, (N, L); the component of a mixture, (N, 1)."""
        codes = self.model_.encode(self._batch(X))
        if not isinstance(codes, torch.Tensor):
            raise AttributeError(f"transform: a {type(self.model_).__name__} has several latent variables")
        return codes.reshape(len(codes), -1).double().numpy()

    def sample(self, n_samples: int = 1) -> Array:
        """New rows, (n_samples, D)."""
        check_is_fitted(self, "model_")
        drawn = self.model_.sample(n_samples, generator=torch.Generator().manual_seed(self.seed))
        if not isinstance(drawn, torch.Tensor):
            raise AttributeError(f"sample: a {type(self.model_).__name__} has several observed variables")
        return drawn.numpy()

    def _rows(self, X: Any, *, reset: bool) -> Array:
        rows: Array = validate_data(
            self, X, reset=reset, ensure_all_finite="allow-nan", dtype=np.float64, allow_nd=True,
            ensure_min_samples=2 if reset else 1,
        )  # fmt: skip
        return np.require(rows, requirements="W")  # torch warns of arrays that can't be written to

    def _batch(self, X: Any) -> Batch:
        check_is_fitted(self, "model_")
        x = torch.from_numpy(self._rows(X, reset=False))
        gaps = x.isnan()
        return Batch(x=x.nan_to_num(), mask=~gaps) if gaps.any() else Batch(x=x)
