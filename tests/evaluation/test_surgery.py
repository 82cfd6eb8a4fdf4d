"""The rate is information plus marginal divergence, with q(z) over the whole split."""

import math

import pytest
import torch
from torch.distributions import Normal

from tests.evaluation.toys import Foreign, SplicedLikelihood, Tabled
from tests.systems import test_latent_diffusion as spliced
from tests.systems import test_two_level_top_down as top_down
from tests.systems import test_vector_quantized as quantized
from unveil.evaluation import evaluate
from unveil.variables import Batch


def table(n: int, spread: float = 1.0) -> torch.Tensor:
    """Means and standard deviations of n codes."""
    return torch.stack([spread * torch.randn(n), 0.2 + torch.rand(n)], dim=1)


def integrated(x: torch.Tensor, rows: torch.Tensor | None = None) -> tuple[float, float]:
    """I_q[n, z] and KL(q(z) || p(z)) of one-dimensional codes, by the trapezoid rule; n is uniform over the rows."""
    z = torch.linspace(-20, 20, 8001)
    q = Normal(x[:, :1], x[:, 1:]).log_prob(z)  # (N, grid)
    marginal = q.logsumexp(0) - math.log(len(x))
    q = q if rows is None else q[rows]
    information = torch.trapezoid(q.exp() * (q - marginal), z).mean()
    divergence = torch.trapezoid(q.exp() * (marginal - Normal(0.0, 1.0).log_prob(z)), z).mean()
    return information.item(), divergence.item()


def within(estimate, exact: float, errors: float = 4.0) -> bool:
    return abs(estimate.value - exact) <= errors * estimate.monte_carlo_error + 1e-9


@pytest.mark.parametrize("model", [Tabled(), Foreign()], ids=["held", "walked"])
def test_both_parts_agree_with_integrals(model):
    x = table(40)
    information, divergence = integrated(x)
    found = evaluate(model, x, particles=10, naive=False)
    assert within(found.mutual_information, information)
    assert within(found.marginal_kl, divergence)
    assert (found.mutual_information.bound, found.marginal_kl.bound, found.others) == ("unbiased", "unbiased", None)
    assert abs(found.mean_kl.value - information - divergence) < 4 * found.mean_kl.monte_carlo_error + 1e-4
    assert within(found.surgery_residual, 0.0)


def test_equal_codes_tell_nothing():
    found = evaluate(Tabled(), torch.tensor([[0.7, 0.3]]).expand(30, 2), particles=10)
    assert abs(found.mutual_information.value) < 1e-9
    assert not found.at_cap
    assert found.marginal_kl.value == pytest.approx(found.rate.value, rel=0.2)


def test_codes_that_do_not_overlap_reach_the_cap_and_it_is_said():
    x = torch.stack([100.0 * torch.arange(30), torch.ones(30)], dim=1)
    found = evaluate(Tabled(), x, particles=10)
    assert found.mutual_information.value == pytest.approx(math.log(30), abs=1e-9)
    assert found.at_cap
    assert any("at its cap, log 30 = 3.40 nats" in note for note in found.notes)


def test_limit_leaves_rows_and_never_limits_the_aggregate_posterior():
    x = table(60)
    whole, some = (evaluate(Tabled(), x, particles=10, limit=limit) for limit in (None, 15))
    assert (some.examples, some.rows, len(some.index)) == (15, 60, 15)
    for name, values in some.per_example.items():
        assert torch.allclose(values, whole.per_example[name][some.index], rtol=0, atol=1e-9), name


def test_random_others_bound_the_information_from_above_and_the_divergence_from_below():
    x = table(300, spread=3.0)
    few = {"pairs": 2 * 30 * 70, "limit": 30, "particles": 5, "naive": False}
    found = [evaluate(Tabled(), x, seed=seed, **few) for seed in range(40)]
    information, divergence = integrated(x, found[0].index)
    assert (found[0].others, found[0].mutual_information.bound, found[0].marginal_kl.bound) == (70, "upper", "lower")
    assert any("70 of the 299 others" in note for note in found[0].notes)
    i, kl, residual = (
        torch.tensor([getattr(each, name).value for each in found])
        for name in ("mutual_information", "marginal_kl", "surgery_residual")
    )
    assert i.mean() > information - 3 * i.std() / 40**0.5
    assert kl.mean() < divergence + 3 * kl.std() / 40**0.5
    assert abs(residual.mean()) < 4 * residual.std() / 40**0.5
    stated = torch.tensor([each.mutual_information.monte_carlo_error for each in found])
    assert i.std().item() == pytest.approx(stated.mean().item(), rel=0.35)


def test_too_many_pairs_are_refused_with_the_remedy():
    found = evaluate(Tabled(), table(300), particles=5, pairs=100)
    assert found.mutual_information is None
    assert "pass pairs=... or a limit" in found.reasons["mutual_information"]
    assert "no mutual information, marginal KL, balance of the three: even with 64 of the 300 rows" in str(found)


def test_a_code_book_has_the_information_of_its_usage():
    model, x = quantized.VQVAE(quantized.X, 6), 2 * torch.randn(80, 2)
    found = evaluate(model, x, particles=5)
    usage = torch.bincount(model.encode(x), minlength=6) / 80
    assert found.mutual_information.value == pytest.approx(torch.special.entr(usage).sum().item())
    assert found.rate.value == pytest.approx(math.log(6))
    assert found.surgery_residual.value == pytest.approx(0.0, abs=1e-9)


def test_hierarchy_balances_over_all_of_its_levels(generator):
    model, x = top_down.TopDown(top_down.X), torch.randn(50, 2)
    model.initialize(Batch(x), generator)
    found = evaluate(model, x, particles=50)
    assert within(found.surgery_residual, 0.0)
    assert found.marginal_kl.value > 0


def test_chain_inside_a_prior_cancels_from_the_information():
    model, x = spliced.latent_diffusion(), torch.randn(50, 2)
    found = evaluate(model, x, particles=100)
    assert within(found.surgery_residual, 0.0)
    q = model.posterior(x)
    exact, _ = integrated(torch.cat([q.loc, q.scale], dim=1).detach())
    assert within(found.mutual_information, exact)


def test_latent_inside_a_likelihood_is_part_of_the_code():
    x = torch.randn(40, 2)
    found = evaluate(SplicedLikelihood(), x, particles=100)
    assert set(found.rate_per_latent) == {"z", "x/w"}
    assert within(found.surgery_residual, 0.0)
    alone, _ = integrated(torch.stack([x[:, 0], torch.ones(40)], dim=1))
    assert found.mutual_information.value > alone + 0.01  # w | z, x tells more about n than z
