"""Hidden Markov models against the sum over all paths."""

from __future__ import annotations

import itertools
from functools import partial

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from tests.em.zoo import batch
from unveil.components import Binomial, Diagonal
from unveil.inference import em
from unveil.models import CategoricalHMM, FromPosterior, GaussianHMM, HiddenMarkov, load, save
from unveil.variables import Batch, Variable

T, K = 4, 3
PATHS = torch.tensor(list(itertools.product(range(K), repeat=T)))
INITIAL = {"any": [0.5, 0.3, 0.2], "left to right": [1.0, 0.0, 0.0]}
TRANSITION = {
    "any": [[0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0.3, 0.3, 0.4]],
    "left to right": [[0.6, 0.4, 0.0], [0.0, 0.7, 0.3], [0.0, 0.0, 1.0]],
}
EVERY = pytest.mark.parametrize("chain", INITIAL)
close = partial(torch.testing.assert_close, rtol=1e-9, atol=1e-9)


def gaussian(chain: str, steps: int = T) -> GaussianHMM:
    """With means and covariances of its own for each state; the data's units are left as they are."""
    model = GaussianHMM(Variable((steps, 2)), states=K)
    with torch.no_grad():
        model.family.loc.copy_(torch.tensor([[0.0, 0.0], [2.0, -1.0], [-1.0, 3.0]]))
        model.family.log_triangle.copy_(torch.tensor([[[0.1, 0], [0.4, -0.3]]]).expand(3, 2, 2))
        set_chain(model, chain)
    return model


def categorical(chain: str, steps: int = T) -> CategoricalHMM:
    model = CategoricalHMM(Variable((steps,), levels=4), states=K)
    with torch.no_grad():
        model.family.logits.copy_(torch.tensor([[[2.0, 0, 0, -1]], [[0, 2, 1, 0]], [[0, 0, 0, 2.5]]]))
        set_chain(model, chain)
    return model


def set_chain(model: HiddenMarkov, chain: str) -> None:
    model.log_initial.copy_(torch.tensor(INITIAL[chain]).log())
    model.log_transition.copy_(torch.tensor(TRANSITION[chain]).log())


def emissions(model: HiddenMarkov, x: Tensor) -> Tensor:
    """log p(x_t | k) by SciPy, (B, T, K); what is NaN is marginalised."""
    found = torch.zeros(*x.shape[:2], K)
    for b, t, k in itertools.product(*map(range, found.shape)):
        value = x[b, t].numpy()
        if isinstance(model, CategoricalHMM):
            found[b, t, k] = 0 if np.isnan(value) else model.family.probabilities[k, 0, int(value)].log()
            continue
        on = ~np.isnan(value)
        if on.any():
            mu, sigma = model.family.means[k].numpy()[on], model.family.covariances[k].numpy()[np.ix_(on, on)]
            found[b, t, k] = float(stats.multivariate_normal(mu, sigma).logpdf(value[on]))
    return found


def paths(model: HiddenMarkov, chain: str, x: Tensor) -> Tensor:
    """log p(x, z) of every path, (B, paths)."""
    log_b = emissions(model, x)
    log_p = torch.tensor(INITIAL[chain]).log()[PATHS[:, 0]]
    for t in range(T - 1):
        log_p = log_p + torch.tensor(TRANSITION[chain]).log()[PATHS[:, t], PATHS[:, t + 1]]
    return log_p + sum(log_b[:, t, PATHS[:, t]] for t in range(T))


def marginals(log_p: Tensor) -> Tensor:
    """p(z_t = k | x), (B, T, K), from all paths."""
    q = log_p.softmax(-1)
    return torch.stack([torch.stack([q[:, PATHS[:, t] == k].sum(-1) for k in range(K)], -1) for t in range(T)], 1)


def symbols(count: int = 5) -> Tensor:
    return torch.randint(4, (count, T)).double()


def vectors(count: int = 5) -> Tensor:
    return 2 * torch.randn(count, T, 2)


CASES = pytest.mark.parametrize(("make", "draw"), [(gaussian, vectors), (categorical, symbols)], ids=["real", "levels"])


@EVERY
@CASES
@pytest.mark.parametrize("missing", [False, True], ids=["whole", "holed"])
def test_evidence_and_posterior_are_sums_over_all_paths(make, draw, chain, missing):
    model, x = make(chain), draw()
    if missing:
        x = x.masked_fill(torch.rand(x.shape) < 0.4, torch.nan)
        x[0] = torch.nan
    log_p = paths(model, chain, x)
    close(model.log_prob(batch(x)), log_p.logsumexp(-1))
    close(model.responsibilities(batch(x)), marginals(log_p))
    mask = ~x.isnan()
    q = model.posterior(x.nan_to_num(), mask if missing else None)
    close(q.log_prob(PATHS.unsqueeze(1).expand(-1, len(x), -1)).mT.detach(), log_p.log_softmax(-1))
    close(q.marginals().exp().detach(), marginals(log_p))
    close(model.encode(batch(x)), PATHS[log_p.argmax(-1)])
    exact = torch.distributions.Categorical(logits=log_p).entropy()
    close(q.entropy().detach(), exact)


@EVERY
@CASES
def test_importance_weights_are_the_evidence(make, draw, chain, generator):
    model, x = make(chain), draw()
    trace = model.trace(x, FromPosterior(20, generator))
    close(trace.log_w.detach(), model.log_prob(x).expand(20, -1))


@EVERY
@CASES
@pytest.mark.parametrize("length", [1, 2, 3])
def test_a_tail_of_nan_is_the_shorter_sequence(make, draw, chain, length):
    model, x = make(chain), draw()
    short = make(chain, length)
    short.load_state_dict(model.state_dict())
    tailed = x.clone()
    tailed[:, length:] = torch.nan
    close(model.log_prob(batch(tailed)), short.log_prob(x[:, :length]))
    close(model.responsibilities(batch(tailed))[:, :length], short.responsibilities(x[:, :length]))


@CASES
def test_ragged_sequences_in_one_data_set_are_each_as_alone(make, draw):
    model, x = make("any"), draw(3)
    x[0, 2:], x[1, 1:] = torch.nan, torch.nan
    together = model.log_prob(batch(x))
    for row, length in enumerate((2, 1, T)):
        short = make("any", length)
        short.load_state_dict(model.state_dict())
        close(short.log_prob(x[row : row + 1, :length]), together[row : row + 1])


@EVERY
@CASES
@pytest.mark.filterwarnings("ignore::unveil.inference.climbing.Trouble")
def test_a_step_sets_the_shares_of_what_all_paths_expect(make, draw, chain):
    model, x, weight = make(chain), draw(6), torch.tensor([1.0, 2.0, 0.5, 0.0, 1.0, 3.0])
    q = paths(model, chain, x).softmax(-1) * weight.unsqueeze(-1)
    r = marginals(paths(model, chain, x)) * weight[:, None, None]
    pairs = torch.zeros(K, K)
    for t in range(T - 1):
        pairs.index_put_((PATHS[:, t], PATHS[:, t + 1]), q.sum(0), accumulate=True)
    old = model.transition
    em.fit(model, x, weight=weight, starts=0, steps=1, progress=False)
    close(model.initial, r[:, 0].sum(0) / weight.sum())
    counts = pairs.sum(-1, keepdim=True)
    close(model.transition, torch.where(counts > 0, pairs / counts, old))
    if isinstance(model, CategoricalHMM):
        counts = torch.stack([(r * (x == level).unsqueeze(-1)).sum((0, 1)) for level in range(4)], -1)
        close(model.family.probabilities[:, 0], counts / counts.sum(-1, keepdim=True), rtol=0, atol=4e-4)  # the floor
    else:
        mean = torch.einsum("btk,btd->kd", r, x) / r.sum((0, 1)).unsqueeze(-1)
        close(model.family.means, mean)
        centred = x.unsqueeze(2) - mean
        spread = torch.einsum("btk,btkd,btke->kde", r, centred, centred) / r.sum((0, 1))[:, None, None]
        close(model.family.covariances, spread)


@EVERY
def test_emissions_are_fitted_to_what_was_observed_alone(chain):
    model, x = gaussian(chain), vectors(30)
    x[0, 2:], x[1, 1:], x[2] = torch.nan, torch.nan, torch.nan
    r = marginals(paths(model, chain, x)) * ~x.isnan().any(-1, keepdim=True)
    em.fit(model, x, starts=0, steps=1, progress=False)
    close(model.family.means, torch.einsum("btk,btd->kd", r, x.nan_to_num()) / r.sum((0, 1)).unsqueeze(-1))


@CASES
def test_what_is_impossible_stays_impossible(make, draw):
    model = make("left to right")
    em.fit(model, draw(40), starts=0, steps=10, tolerance=0, progress=False)
    assert torch.equal(model.transition == 0, torch.tensor(TRANSITION["left to right"]) == 0)
    assert torch.equal(model.initial, torch.tensor(INITIAL["left to right"]))


@EVERY
@CASES
def test_samples_follow_the_chain(make, draw, chain, generator):
    model = make(chain)
    trace = model.trace(Batch(size=20_000), FromPosterior(1, generator))
    z = trace["z"].value[0]
    pairs = torch.zeros(K, K).index_put_((z[:, :-1].flatten(), z[:, 1:].flatten()), torch.ones(()), accumulate=True)
    counts = pairs.sum(-1, keepdim=True)
    expected = torch.tensor(TRANSITION[chain])
    assert ((pairs / counts - expected).abs() <= 4.5 * (expected * (1 - expected) / counts).sqrt()).all()
    first = torch.bincount(z[:, 0], minlength=K) / len(z)
    assert (first - torch.tensor(INITIAL[chain])).abs().max() < 4.5 * 0.5 / len(z) ** 0.5


def test_states_that_differ_are_found_again(generator):
    truth = gaussian("any", 30)
    with torch.no_grad():
        truth.family.loc *= 3
        truth.log_transition.copy_(torch.tensor([[0.9, 0.1, 0], [0, 0.9, 0.1], [0.1, 0, 0.9]]).log())
    x = truth.sample(150, generator=generator)
    model = GaussianHMM(Variable((30, 2)), states=K)
    found = em.fit(model, x, starts=6, progress=False)
    assert found.converged
    assert found.log_likelihood.value > truth.log_prob(x).mean() - 1e-3
    order = torch.cdist(truth.family.means, model.family.means).argmin(-1)
    close(model.transition[order][:, order], truth.transition, rtol=0, atol=0.03)
    close(model.family.means[order], truth.family.means, rtol=0, atol=0.3)


def test_a_sequence_of_one_step_is_a_mixture():
    model = GaussianHMM(Variable((1, 2)), states=K)
    x = vectors(30)[:, :1]
    found = em.fit(model, x, starts=2, steps=5, tolerance=0, progress=False)
    joint = model.initial.log().unsqueeze(-1) + emissions(model, x)[:, 0].mT
    close(model.log_prob(x), joint.logsumexp(0))
    assert found.bounds[-1] > found.bounds[0]


def test_sequences_of_single_numbers_take_any_family():
    model = HiddenMarkov(Variable((6,)), states=2, family=Diagonal)
    x = torch.randn(40, 6) + 5 * (torch.arange(6) > 2)
    em.fit(model, x, starts=2, progress=False)
    assert (model.encode(x)[:, 0] != model.encode(x)[:, -1]).all()
    counts = HiddenMarkov(Variable((6,), levels=100), states=2, family=Binomial)
    em.fit(counts, torch.randint(0, 100, (30, 6)).double(), starts=2, steps=5, progress=False)
    assert counts.sample(3).shape == (3, 6)


def test_single_numbers_are_no_sequences():
    with pytest.raises(ValueError, match="x: expected sequences"):
        HiddenMarkov(Variable(()))


def test_states_begin_where_observations_are_not_where_they_are_missing():
    x = torch.full((30, 6, 2), torch.nan)
    x[:, 0] = torch.randn(30, 2) + 50 * torch.tensor([-1, 1]).repeat(15).unsqueeze(1)
    x[0] = x[0, :1]
    model = GaussianHMM(Variable((6, 2)), states=2)
    em.fit(model, x, starts=1, steps=1, progress=False)
    assert (model.family.means.abs() - 50).abs().max() < 5


@pytest.mark.parametrize("make", [gaussian, categorical])
def test_a_chain_of_another_length_is_the_same_chain(make):
    model = make("any")
    shorter, longer = model.of_length(3), model.of_length(40)
    x = model.sample(5, generator=torch.Generator().manual_seed(0)).double()
    ended = x.clone()
    ended[:, 3:] = torch.nan
    close(shorter.log_prob(x[:, :3]), model.log_prob(ended))
    assert longer.sample(7).shape == (7, 40, *x.shape[2:])
    assert longer.encode(longer.sample(2)).shape == (2, 40)
    with torch.no_grad():
        model.log_initial.add_(torch.tensor([0.0, 1.0, 0.0]))
    close(shorter.initial, model.initial)
    with pytest.raises(ValueError, match="steps: expected a whole number of at least 1, got 0"):
        model.of_length(0)


def test_images_are_sequences_of_rows_of_any_number():
    model = GaussianHMM(Variable((1, 5, 2)), states=2)
    assert model.of_length(9).sample(3).shape == (3, 1, 9, 2)


def test_what_follows_the_last_observation_is_not_fitted():
    x = gaussian("any", 9).sample(12, generator=torch.Generator().manual_seed(0)).double()
    x[2, 4:], x[5, 2] = torch.nan, torch.nan
    padded = torch.cat([x, torch.full((12, 20, 2), torch.nan)], 1)
    one, other = gaussian("any", 9), gaussian("any", 29)
    found, same = (em.fit(m, y, starts=0, steps=6, tolerance=0, progress=False) for m, y in ((one, x), (other, padded)))
    assert found.bounds == pytest.approx(same.bounds, abs=1e-12)
    close(one.transition, other.transition)
    close(one.initial, other.initial)
    assert found.bic == pytest.approx(same.bic, abs=1e-8)
    assert found.observations == pytest.approx(12 * 9 - 5)


def test_criteria_count_steps_and_parameters():
    model = GaussianHMM(Variable((4, 1)), states=2)
    x = torch.randn(30, 4, 1)
    found = em.fit(model, x, starts=1, steps=3, progress=False)
    free = 1 + 2 + 2 * (1 + 1)  # the beginning, the transitions, means and variances
    assert model.free == free
    assert found.bic == pytest.approx(-2 * 30 * found.bounds[-1] + free * np.log(30 * 4))
    assert found.aic == pytest.approx(-2 * 30 * found.bounds[-1] + free * 2)


def test_a_chain_of_another_length_is_saved_as_it_is(tmp_path):
    shorter = gaussian("any").of_length(2)
    save(shorter, tmp_path / "chain.safetensors")
    again = load(tmp_path / "chain.safetensors")
    x = torch.randn(3, 2, 2)
    close(again.log_prob(x), shorter.log_prob(x))


def test_no_states_are_refused():
    with pytest.raises(ValueError, match="states: expected at least 1, got 0"):
        GaussianHMM(Variable((4, 2)), states=0)
