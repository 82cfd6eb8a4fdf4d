"""Every number of an evaluation against its closed form, with what it is said to be."""

import json
import math

import pytest
import torch
from torch.distributions import kl_divergence

from tests.closed_form.linear_gaussian import LinearGaussian
from tests.evaluation.toys import Marginal, Tabled, vae
from tests.systems import test_enumerated_mixture as mixture
from tests.systems import test_gumbel_softmax as gumbel
from tests.systems import test_image_and_label as pair
from tests.systems import test_log_density as density
from tests.systems import test_two_level_bottom_up as bottom_up
from tests.systems import test_vector_quantized as quantized
from unveil.distributions import Bernoulli, Floor, Logistic, Normal
from unveil.evaluation import PerExample, evaluate
from unveil.models import GSNN, Model, Visit
from unveil.variables import Batch, Variable

QUANTITIES = ("elbo", "log_likelihood", "rate", "distortion", "mean_kl", "mutual_information", "marginal_kl")


@pytest.fixture
def model() -> LinearGaussian:
    return LinearGaussian()


@pytest.fixture
def x(model) -> torch.Tensor:
    return model.sample(40)


def agrees(estimate, exact, *, errors=4.0) -> bool:
    return abs(estimate.value - torch.as_tensor(exact).item()) <= errors * estimate.monte_carlo_error + 1e-9


def test_bound_rate_and_distortion_are_those_of_the_linear_gaussian_model(model, x):
    found = evaluate(model, x, particles=400)
    q = torch.distributions.MultivariateNormal(x @ model.A.mT + model.c, scale_tril=model.L.tril())
    prior = torch.distributions.MultivariateNormal(torch.zeros(2), torch.eye(2))
    rate = kl_divergence(q, prior).mean()
    assert found.rate.value == pytest.approx(rate.item(), rel=1e-10)
    assert (found.rate.bound, found.rate.monte_carlo_error) == ("exact", 0.0)
    assert agrees(found.elbo, model.elbo(x).mean())
    assert agrees(found.distortion, -model.elbo(x).mean() - rate)
    assert found.elbo.value == pytest.approx(-found.rate.value - found.distortion.value, rel=1e-12)
    assert (found.elbo.bound, found.distortion.bound) == ("lower", "unbiased")
    assert found.elbo.standard_error == pytest.approx(found.per_example["elbo"].std().item() / 40**0.5)


def test_weights_of_the_exact_posterior_are_the_evidence(model, x):
    model.solve()
    found = evaluate(model, x, particles=30, exact=lambda batch: model.log_evidence(batch["x"]))
    assert torch.allclose(found.per_example["log_likelihood"], model.log_evidence(x), rtol=0, atol=1e-9)
    assert found.log_likelihood.monte_carlo_error < 1e-8
    assert found.effective_sample_size == pytest.approx((30, 30))
    assert agrees(found.gap, 0)


def test_log_likelihood_is_between_the_bound_and_the_truth_and_gap_is_the_divergence_from_the_posterior(model, x):
    model.solve()
    with torch.no_grad():
        model.c += 0.5
        model.L *= 1.2
    found = evaluate(model, x, particles=500, exact=lambda batch: model.log_evidence(batch["x"]))
    truth = model.log_evidence(x).mean()
    assert agrees(found.log_likelihood, truth)
    assert found.elbo.value + 0.1 < found.log_likelihood.value
    assert agrees(found.gap, truth - model.elbo(x).mean())
    assert (found.gap.bound, found.log_likelihood.bound) == ("unbiased", "lower")
    assert found.bits_per_dim.value == pytest.approx(-found.log_likelihood.value / (3 * math.log(2)))
    assert found.bits_per_dim.bound == "upper"


def test_gap_to_an_estimate_is_what_the_estimate_is(model, x):
    def estimated(batch: Batch) -> PerExample:
        return PerExample(model.log_evidence(batch["x"]).detach(), torch.full((len(batch),), 0.04), "lower", 9)

    gap = evaluate(model, x, exact=estimated, particles=50, split_rate=False, naive=False).gap
    assert gap.bound == "lower"
    assert gap.monte_carlo_error > (0.04 / 40) ** 0.5


def test_naive_monte_carlo_fails_where_the_posterior_is_narrow_and_says_so(model, x):
    with torch.no_grad():
        model.log_sigma.fill_(-5)
        model.solve()
    found = evaluate(model, x, particles=50)
    assert found.log_likelihood_prior.value < found.log_likelihood.value - 100
    assert any("naive Monte Carlo: the effective sample size is below 10 for" in note for note in found.notes)


@pytest.mark.parametrize("name", ["elbo", "distortion", "log_likelihood", "mutual_information", "marginal_kl"])
def test_monte_carlo_errors_are_the_spread_over_seeds(name, model, x, seeds):
    values = torch.tensor([getattr(found, name).value for found in seeds])
    stated = torch.tensor([getattr(found, name).monte_carlo_error for found in seeds])
    assert values.std().item() == pytest.approx(stated.square().mean().sqrt().item(), rel=0.35)


@pytest.fixture(scope="module")
def seeds() -> list:
    torch.manual_seed(5)
    torch.set_default_dtype(torch.float64)
    model = LinearGaussian()
    x = model.sample(12)
    return [evaluate(model, x, particles=20, seed=seed, naive=False) for seed in range(50)]


def test_without_latents_everything_is_exact():
    model = Marginal()
    x = torch.randn(9, 3)
    found = evaluate(model, x)
    truth = torch.distributions.Normal(model.loc, 1.0).log_prob(x).sum(-1).mean().item()
    for estimate in (found.elbo, found.log_likelihood):
        assert (estimate.bound, estimate.monte_carlo_error) == ("exact", 0.0)
        assert estimate.value == pytest.approx(truth)
    assert found.rate.value == 0
    assert found.reasons["mutual_information"] == "the model has no latent variable"
    assert found.reasons["log_likelihood_prior"] == "the model has no latent variable"
    assert found.collapse == "no collapse: there is no latent variable"
    assert [line.split("  ")[0] for line in str(found).split("\n")[2:4]] == ["log-likelihood", "bits per dimension"]
    assert "draws" not in str(found)


def test_where_nothing_is_inferred_the_sentence_says_so():
    model = GSNN(Variable((4,), levels=2), context=Variable((3,)), latent_dim=2)
    found = evaluate(model, Batch((torch.rand(20, 4) < 0.5).double(), torch.randn(20, 3)), particles=20)
    assert found.rate.value == 0
    assert found.collapse.startswith("nothing is inferred")
    assert any("p(z | c) depends on the context" in note for note in found.notes)


def test_a_bounded_prior_refuses_weights_and_leaves_a_bound():
    found = evaluate(Tabled("lower"), torch.rand(20, 2) + 0.1, particles=20)
    assert found.log_likelihood is None
    assert "log_w: the term 'z' is only a bound (lower)" in found.reasons["log_likelihood"]
    assert found.log_likelihood_prior is None
    assert (found.elbo.bound, found.rate.bound, found.marginal_kl.bound) == ("lower", "upper", "upper")
    assert (found.mutual_information.bound, found.bits_per_dim.bound) == ("unbiased", "upper")
    assert found.to_dict()["log_likelihood"] is None


def test_a_relaxed_term_makes_nothing_a_bound():
    found = evaluate(Tabled("relaxed"), torch.rand(20, 2) + 0.1, particles=20)
    bounds = {estimate.bound for estimate in (found.elbo, found.rate, found.marginal_kl, found.mutual_information)}
    assert bounds == {"relaxed"}
    assert "not a bound" in str(found)


@pytest.mark.parametrize(
    ("loc", "scale", "shift", "words"),
    [
        (0.0, 1.0, 0.0, "posterior collapse: the rate is 0 nats"),
        (0.0, 1.0, 2.0, "posterior collapse: q(z | x) ignores x; the rate is 2.00 nats, the mutual information 0:"),
        (1.0, 0.5, 0.0, "no collapse: z tells"),
    ],
)
def test_collapse_is_named_in_words(loc, scale, shift, words):
    x = torch.stack([loc * torch.randn(50), torch.full((50,), scale)], dim=1)
    assert evaluate(Tabled(shift=shift), x, particles=20).collapse.startswith(words)


def test_only_units_that_vary_over_the_data_are_active():
    model = vae(latent_dim=3)
    with torch.no_grad():  # mu_2 = 1 for all x: it is used by nothing
        model.posterior.net.output.weight.view(2, 3, -1)[:, 2] = 0
        model.posterior.net.output.bias.view(2, 3)[0, 2] = 1
    found = evaluate(model, (torch.rand(60, 6) < 0.5).double(), particles=10)
    assert (found.active_units, found.units) == (2, 3)
    assert found.kl_per_dim["z"].sum().item() == pytest.approx(found.rate.value)
    assert found.rate_per_latent["z"] == pytest.approx(found.rate.value)


def test_missing_entries_are_left_out_and_not_counted():
    model, mask = vae(), torch.rand(30, 6) < 0.5
    x = torch.where(mask, (torch.rand(30, 6) < 0.5).double(), torch.nan)
    with pytest.raises(ValueError, match="mark missing entries by a mask"):
        evaluate(model, x)
    found = evaluate(model, Batch(x.nan_to_num(0.0), mask=mask), particles=20)
    entries = mask.sum().item() / 30
    assert found.bits_per_dim.value == pytest.approx(-found.log_likelihood.value / (entries * math.log(2)))


def test_json_has_the_keys_that_were_promised_and_the_table_has_all_rows(model, x):
    found = evaluate(model, x, particles=20, exact=lambda batch: model.log_evidence(batch["x"]))
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    for name in QUANTITIES:
        assert set(plain[name]) == {"value", "monte_carlo_error", "standard_error", "bound"}
    assert (plain["particles"], plain["examples"], plain["active_units"], plain["units"]) == (20, 40, 2, 2)
    assert plain["bits_per_dim"] == found.bits_per_dim.value
    for row in ("ELBO", "log-likelihood", "rate", "distortion", "mutual information", "inference gap", "no collapse"):
        assert row in str(found)


def test_a_nan_names_its_term_and_rows():
    x = torch.rand(20, 2) + 0.1
    x[7, 1] = torch.nan
    with pytest.raises(FloatingPointError, match=r"z: its log-probability is NaN for rows \[7\]"):
        evaluate(Tabled(), x)


@pytest.mark.parametrize("name", ["particles", "limit", "chunk"])
def test_numbers_below_one_are_refused(name, model, x):
    with pytest.raises(ValueError, match=f"{name}: expected at least 1"):
        evaluate(model, x, **{name: 0})


def test_data_of_another_kind_is_refused():
    with pytest.raises(ValueError, match=r"x: expected \(examples, 6\), got shape \(9, 5\)"):
        evaluate(vae(), torch.zeros(9, 5))
    with pytest.raises(ValueError, match="x: expected levels from 0 to 1, got values from 0 to 2"):
        evaluate(vae(), 2 * torch.eye(6))
    with pytest.raises(ValueError, match="at least one example"):
        evaluate(vae(), torch.zeros(0, 6))
    with pytest.raises(TypeError, match=r"data: expected a tensor, .* got str"):
        evaluate(vae(), "mnist")
    with pytest.raises(ValueError, match="x: expected data to judge the model by, got none"):
        evaluate(vae(), Batch(context=torch.zeros(9, 3)))
    with pytest.raises(ValueError, match="context: the model is conditioned on"):
        evaluate(GSNN(Variable((6,), 2), context=Variable((3,))), torch.zeros(9, 6))


def test_prior_without_a_sampler_has_no_naive_estimate_and_no_collapse():
    found = evaluate(density.Target(density.log_density, 2), Batch(size=1), particles=400)
    assert "flat density" in found.reasons["log_likelihood_prior"]
    assert found.mutual_information is None
    assert found.bits_per_dim is None
    assert "not normalised" in found.collapse


def test_every_kind_of_latent_is_evaluated_below_the_truth():
    vectors, bits = torch.randn(50, 3), (torch.rand(50, 6) < 0.5).double()
    labelled = {"image": (torch.rand(50, 1, 2, 3) < 0.5).double(), "label": torch.randint(3, (50,))}
    two_level, one_hot, both = (
        bottom_up.BottomUp(bottom_up.X),
        gumbel.Gumbel(gumbel.X),
        pair.ImageAndLabel(pair.IMAGE, pair.LABEL),
    )
    mixed, coded = mixture.Mixture(3, 3), quantized.VQVAE(quantized.X, 6)
    truths = [
        (two_level, vectors, lambda batch: bottom_up.marginal(two_level).log_prob(batch["x"])),
        (one_hot, bits, lambda batch: gumbel.log_evidence(one_hot, batch["x"])),
        (both, labelled, lambda batch: pair.log_evidence(both, batch.x)),
        (mixed, vectors, lambda batch: mixture.log_evidence(mixed, batch["x"])),
        (coded, vectors[:, :2], None),
    ]
    for model, data, exact in truths:
        found = evaluate(model, data, particles=100, exact=exact)
        if exact is not None:
            assert found.gap.value > -4 * found.gap.monte_carlo_error
        residual = found.surgery_residual
        assert abs(residual.value) < 4 * residual.monte_carlo_error + 1e-9
        json.dumps(found.to_dict(), allow_nan=False)


class Stepped(Model):
    """z ~ N(0, 1), and x is the whole number below z, 3 at most: hardly any z has x = 3."""

    def __init__(self) -> None:
        super().__init__()
        self.x = Variable((1,), levels=4)

    def walk(self, visit: Visit, batch: Batch) -> None:
        zero, one = torch.zeros(1), torch.ones(1)
        z = visit("z", p=lambda: Normal(zero, one), q=lambda: Normal(batch["x"] + 0.5, 0.05 * one))
        visit("x", p=lambda: Floor(z, 4), value=batch["x"])


def test_naive_monte_carlo_that_meets_no_possible_latent_says_so():
    found = evaluate(Stepped(), torch.full((3, 1), 3.0), particles=20, progress=False)
    assert found.log_likelihood_prior is None
    assert "none of the prior's draws makes x possible" in found.reasons["log_likelihood_prior"]
    assert found.log_likelihood.value < 0


class Lying(Model):
    """q scores what it draws far too low."""

    def __init__(self) -> None:
        super().__init__()
        self.x = Variable((1,), levels=2)

    def walk(self, visit: Visit, batch: Batch) -> None:
        zero, one = torch.zeros(1), torch.ones(1)
        z = visit("z", p=lambda: Normal(zero, one), q=lambda: Wrong(zero, one))
        visit("x", p=lambda: Bernoulli(z), value=batch["x"])


class Wrong(Logistic):
    """A hundred nats off."""

    def log_prob_per_dim(self, value: torch.Tensor) -> torch.Tensor:
        return super().log_prob_per_dim(value) - 100


def test_a_bound_on_a_probability_above_one_is_refused():
    with pytest.raises(FloatingPointError, match="elbo: expected at most 0 for whole numbers"):
        evaluate(Lying(), torch.ones(3, 1), particles=5, naive=False, split_rate=False, progress=False)
