"""Probabilistic PCA and factor analysis end where their likelihood is largest."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.decomposition import FactorAnalysis as Reference
from torch import Tensor

from unveil.components import Anisotropic, Isotropic
from unveil.inference import em
from unveil.models import FactorAnalysis, MixtureOfFactorAnalysers, ProbabilisticPCA
from unveil.variables import Batch, Variable

D, L, N = 6, 2, 200
close = partial(torch.testing.assert_close, rtol=1e-5, atol=1e-5)


@pytest.fixture
def x() -> np.ndarray:
    random = np.random.default_rng(5)  # whose noises are all large at the maximum
    loading, noise = random.normal(size=(D, L)) * 2, np.array([0.5, 1.0, 0.7, 1.5, 0.8, 1.2])
    return random.normal(size=(N, L)) @ loading.T + random.normal(size=(N, D)) * noise + 50


def climb(model, x, **options):
    return em.fit(model, x, progress=False, **{"steps": 5000, "tolerance": 0, **options})


def log_likelihood(mean: Tensor, covariance: Tensor, x: np.ndarray) -> Tensor:
    """The mean of log N(x; mean, covariance), differentiable."""
    centred = torch.from_numpy(x) - mean
    squares = (torch.linalg.solve(covariance, centred.mT) * centred.mT).sum(0)
    return -0.5 * (squares.mean() + torch.logdet(covariance) + x.shape[1] * np.log(2 * np.pi))


def principal(x: np.ndarray, factors: int) -> tuple[np.ndarray, float]:
    """W W' and sigma^2 of Tipping & Bishop's maximum."""
    values, vectors = np.linalg.eigh(np.cov(x.T, ddof=0))
    noise = values[:-factors].mean()
    kept = vectors[:, -factors:]
    return kept @ np.diag(values[-factors:] - noise) @ kept.T, noise


@pytest.mark.parametrize("factors", [1, 2, 5])
def test_probabilistic_pca_ends_at_tipping_and_bishops_maximum(x, factors):
    found = climb(ProbabilisticPCA(Variable((D,)), latent_dim=factors), x)
    inner, noise = principal(x, factors)
    covariance = inner + noise * np.eye(D)
    expected = stats.multivariate_normal(x.mean(0), covariance).logpdf(x).mean()
    assert found.converged
    assert found.log_likelihood.value == pytest.approx(expected, abs=1e-8)
    close(found.model.loading @ found.model.loading.mT, torch.from_numpy(inner), rtol=1e-4, atol=1e-4)
    close(found.model.noise, torch.full((D,), noise))
    close(found.model.mean, torch.from_numpy(x.mean(0)))


def test_its_factors_are_the_principal_axes_the_widest_first(x):
    found = climb(ProbabilisticPCA(Variable((D,)), latent_dim=3), x)
    values, vectors = np.linalg.eigh(np.cov(x.T, ddof=0))
    expected = vectors[:, ::-1][:, :3] * np.sqrt(values[::-1][:3] - values[:3].mean())
    close(found.model.loading, torch.from_numpy(expected * np.sign(expected.sum(0))), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("make", [FactorAnalysis, ProbabilisticPCA, partial(MixtureOfFactorAnalysers, components=2)])
def test_settled_factors_have_the_same_densities_and_no_correlations_given_x(make, x):
    found = climb(make(Variable((D,))), x, steps=20)
    model, rows = found.model, torch.from_numpy(x)
    assert model.log_prob(rows).mean().item() == pytest.approx(found.bounds[-1], abs=1e-10)
    family = model.family
    precision = (family.loading / (2 * family.log_scale).exp().unsqueeze(-1)).mT @ family.loading
    diagonal = precision.diagonal(dim1=-2, dim2=-1)
    close(precision, torch.diag_embed(diagonal), rtol=0, atol=1e-8)
    assert (diagonal.diff(dim=-1) <= 0).all()
    assert (family.loading.sum(-2) > 0).all()


def test_that_maximum_does_not_depend_on_the_start(x):
    bounds = [climb(ProbabilisticPCA(Variable((D,)), latent_dim=2), x, seed=seed).bounds[-1] for seed in range(4)]
    assert bounds == pytest.approx([bounds[0]] * 4, abs=1e-8)


def test_stretching_one_entry_alone_is_no_unit_of_probabilistic_pca(x):
    stretched = x * np.array([1, 1, 1, 1, 1, 30.0])
    found = climb(ProbabilisticPCA(Variable((D,)), latent_dim=2), stretched)
    inner, noise = principal(stretched, 2)
    covariance = inner + noise * np.eye(D)
    expected = stats.multivariate_normal(x.mean(0) * [1, 1, 1, 1, 1, 30.0], covariance).logpdf(stretched).mean()
    assert found.log_likelihood.value == pytest.approx(expected, abs=1e-8)


def test_factor_analysis_is_at_least_as_good_as_scikit_learns(x):
    reference = Reference(L, svd_method="lapack", tol=1e-12, max_iter=20_000).fit(x)
    found = climb(FactorAnalysis(Variable((D,)), latent_dim=L), x)
    assert found.converged
    assert found.log_likelihood.value > reference.score(x) - 1e-8
    inner = torch.from_numpy(reference.components_.T @ reference.components_)
    close(found.model.loading @ found.model.loading.mT, inner, rtol=1e-3, atol=1e-3)
    close(found.model.noise, torch.from_numpy(reference.noise_variance_), rtol=1e-3, atol=1e-3)


def test_the_gradient_vanishes_where_factor_analysis_ends(x):
    model = climb(FactorAnalysis(Variable((D,)), latent_dim=L), x).model
    parts = [part.clone().requires_grad_() for part in (model.mean, model.loading, model.noise)]
    mean, loading, noise = parts
    value = log_likelihood(mean, loading @ loading.mT + noise.diag(), x)
    assert value.item() == pytest.approx(model.log_prob(torch.from_numpy(x)).mean().item(), abs=1e-10)
    for part, gradient in zip(parts, torch.autograd.grad(value, parts), strict=True):
        assert (part * gradient).abs().max() < 1e-5


def test_the_gradient_vanishes_with_holes_too(x):
    holed = torch.from_numpy(x)
    holed[torch.rand(holed.shape) < 0.3] = torch.nan
    model = climb(ProbabilisticPCA(Variable((D,)), latent_dim=1), holed, steps=2000).model
    parts = [part.clone().requires_grad_() for part in (model.mean, model.loading, model.noise[0])]
    covariance = parts[1] @ parts[1].mT + parts[2] * torch.eye(D)
    total = torch.zeros(())
    for row in holed:
        on = ~row.isnan()
        if on.any():
            normal = torch.distributions.MultivariateNormal(parts[0][on], covariance[on][:, on])
            total = total + normal.log_prob(row[on])
    assert (total / N).item() == pytest.approx(
        model.log_prob(Batch(holed.nan_to_num(), mask=~holed.isnan())).mean().item(), abs=1e-10
    )
    for part, gradient in zip(parts, torch.autograd.grad(total / N, parts), strict=True):
        assert (part * gradient).abs().max() < 1e-5


@pytest.mark.parametrize("make", [FactorAnalysis, ProbabilisticPCA])
def test_the_posterior_is_the_conditional_of_the_joint_gaussian(make, x):
    model = climb(make(Variable((D,)), latent_dim=2), x, steps=20).model
    W, psi = model.loading, model.noise
    gain = W.mT @ torch.linalg.inv(W @ W.mT + psi.diag())
    q = model.posterior(torch.from_numpy(x[:5]))
    close(q.mean.detach(), (torch.from_numpy(x[:5]) - model.mean) @ gain.mT, rtol=1e-9, atol=1e-9)
    close(q.covariance_matrix[0].detach(), torch.eye(2) - gain @ W, rtol=1e-9, atol=1e-9)
    close(model.encode(torch.from_numpy(x[:5])), q.mean.detach())
    p = model.decode(q.mean.detach())
    close(p.mean.detach(), model.mean + q.mean.detach() @ W.mT, rtol=1e-9, atol=1e-9)
    close(p.variance.detach(), psi.expand(5, -1), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("family", "alone"), [(Anisotropic, FactorAnalysis), (Isotropic, ProbabilisticPCA)])
def test_a_mixture_of_one_factor_analyser_is_that_factor_analyser(family, alone, x):
    mixture = MixtureOfFactorAnalysers(Variable((D,)), components=1, family=partial(family, latent_dim=2))
    found = climb(mixture, x, starts=1)
    assert found.bounds[-1] == pytest.approx(climb(alone(Variable((D,)), latent_dim=2), x).bounds[-1], abs=1e-8)


def test_the_factors_of_a_mixture_are_those_of_the_component_that_is_drawn(x, generator):
    mixture = MixtureOfFactorAnalysers(Variable((D,)), components=2, family=partial(Anisotropic, latent_dim=2))
    model = climb(mixture, np.concatenate([x, x * [1, -1, 1, -1, 1, -1] + 20]), steps=10).model
    codes = model.encode(torch.from_numpy(x[:4]))
    assert codes.keys() == {"y", "z"}
    assert codes["z"].shape == (4, 2)
    k, z = torch.tensor([0, 1, 1, 0]), torch.randn(4, 2, generator=generator)
    p = model.decode({"y": k, "z": z})
    deviation = model.family.units.deviation
    W = deviation.unsqueeze(-1) * model.family.loading.detach()
    close(p.mean.detach(), model.family.means[k] + (W[k] @ z.unsqueeze(-1)).squeeze(-1))


def test_an_entry_that_the_factors_explain_fully_is_said(x):
    x[:, 1] = 2 * x[:, 0] + 1
    with pytest.warns(UserWarning, match="Heywood"):
        found = climb(FactorAnalysis(Variable((D,)), latent_dim=2), x, steps=300, tolerance=1e-6)
    assert "the noise of some entry vanished" in str(found)
