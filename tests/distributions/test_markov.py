"""Markov chains and sequences against the sum over all of their values."""

from __future__ import annotations

import itertools

import pytest
import torch

from unveil.distributions import (
    Bernoulli,
    Categorical,
    MarkovChain,
    MultivariateNormal,
    Normal,
    Steps,
    closed_form_kl,
    masked,
)

INITIAL = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
TRANSITION = torch.tensor([[0.6, 0.4, 0.0], [0.0, 0.7, 0.3], [0.0, 0.0, 1.0]], dtype=torch.float64)
PATHS = torch.tensor(list(itertools.product(range(3), repeat=4)))


def chain(*batch: int) -> MarkovChain:
    """Left to right, a different one for each element of a batch."""
    odds = torch.rand(*batch, 3, 3, 3) * TRANSITION
    return MarkovChain(INITIAL.log(), (odds / odds.sum(-1, keepdim=True)).log())


def exact(p: MarkovChain) -> torch.Tensor:
    """The probability of every path."""
    found = p.log_initial.exp()[PATHS[:, 0]]
    for t in range(3):
        found = found * p.log_transitions[t].exp()[PATHS[:, t], PATHS[:, t + 1]]
    return found


def test_probabilities_marginals_and_mode_are_those_of_all_paths():
    p = chain()
    found = p.log_prob(PATHS).exp()
    torch.testing.assert_close(found, exact(p))
    torch.testing.assert_close(found.sum(), torch.tensor(1.0))
    assert torch.equal(p.mode, PATHS[found.argmax()])
    for t in range(4):
        expected = torch.stack([found[PATHS[:, t] == k].sum() for k in range(3)])
        torch.testing.assert_close(p.marginals()[t].exp(), expected)
    torch.testing.assert_close(p.entropy(), -torch.special.xlogy(found, found).sum())


def test_no_path_is_likelier_than_the_mode():
    p = MarkovChain(torch.randn(50, 3).log_softmax(-1), torch.randn(50, 3, 3, 3).log_softmax(-1))
    log_p = p.log_prob(PATHS.unsqueeze(1).expand(-1, 50, -1))
    assert torch.equal(p.mode, PATHS[log_p.argmax(0)])


def test_a_batch_of_chains_is_each_chain():
    p = chain(5)
    for b in range(5):
        alone = MarkovChain(p.log_initial[b], p.log_transitions[b])
        assert torch.equal(p.mode[b], alone.mode)
        torch.testing.assert_close(p.entropy()[b], alone.entropy())
        values = PATHS.unsqueeze(1).expand(-1, 5, -1)
        torch.testing.assert_close(p.log_prob(values)[:, b], alone.log_prob(PATHS))


def test_values_broadcast_with_a_batch_of_chains():
    p = chain(5)
    torch.testing.assert_close(p.log_prob(PATHS.unsqueeze(1)), p.log_prob(PATHS.unsqueeze(1).expand(-1, 5, -1)))


def test_draws_are_never_impossible_and_have_the_probabilities_of_the_paths(generator):
    p = chain()
    drawn = p.sample((20_000,), generator)
    assert p.log_prob(drawn).isfinite().all()
    counts = (drawn.unsqueeze(1) == PATHS).all(-1).double().mean(0)
    expected = exact(p)
    assert ((counts - expected).abs() <= 4.5 * (expected * (1 - expected) / 20_000).sqrt()).all()


def test_a_chain_of_one_step_is_its_first_state():
    p = MarkovChain(INITIAL.log(), torch.empty(0, 3, 3))
    torch.testing.assert_close(p.log_prob(torch.arange(3).unsqueeze(1)).exp(), INITIAL)
    assert p.mode.tolist() == [0]
    torch.testing.assert_close(p.entropy(), -(INITIAL * INITIAL.log()).sum())
    assert p.sample((7,)).shape == (7, 1)


class TestSteps:
    def test_a_sequence_is_the_product_of_its_steps(self):
        base = MultivariateNormal(torch.randn(5, 4, 2), torch.eye(2) * 0.5 + torch.rand(5, 4, 2, 2).tril(-1))
        p, x = Steps(base, (4, 2)), torch.randn(5, 4, 2)
        assert (p.batch_shape, p.event_shape) == ((5,), (4, 2))
        torch.testing.assert_close(p.log_prob(x), base.log_prob(x).sum(-1))
        torch.testing.assert_close(p.entropy(), base.entropy().sum(-1))
        assert p.log_prob(torch.randn(3, 5, 4, 2)).shape == (3, 5)
        assert torch.equal(p.mean, base.mean)

    def test_observations_of_one_number_have_no_axis_of_their_own(self, generator):
        base = Normal(torch.randn(5, 4, 1), torch.rand(5, 4, 1) + 0.1)
        p, x = Steps(base, (4,)), torch.randn(5, 4)
        torch.testing.assert_close(p.log_prob(x), base.log_prob(x.unsqueeze(-1)).sum(-1))
        for drawn in (p.sample((3,), generator), p.rsample((3,), generator)):
            assert drawn.shape == (3, 5, 4)
        assert p.mean.shape == p.variance.shape == p.mode.shape == (5, 4)
        whole_numbers = Steps(Categorical(torch.randn(5, 4, 1, 3), 1), (4,))
        assert whole_numbers.sample((2,), generator).shape == (2, 5, 4)
        assert not whole_numbers.has_rsample

    @pytest.mark.parametrize("kind", ["normal", "bernoulli", "full"])
    def test_what_is_missing_of_a_sequence_is_missing_of_its_steps(self, kind):
        base = {
            "normal": lambda: Normal(torch.randn(5, 4, 2), torch.rand(5, 4, 2) + 0.1),
            "bernoulli": lambda: Bernoulli(torch.randn(5, 4, 2)),
            "full": lambda: MultivariateNormal(torch.randn(5, 4, 2), torch.eye(2) + torch.rand(5, 4, 2, 2).tril(-1)),
        }[kind]()
        x, mask = torch.randint(0, 2, (5, 4, 2)).double(), torch.rand(5, 4, 2) < 0.5
        found = masked(Steps(base, (4, 2)), mask).log_prob(x)
        expected = sum(masked(step_of(base, t), mask[:, t]).log_prob(x[:, t]) for t in range(4))
        torch.testing.assert_close(found, expected)
        shared = masked(Steps(base, (4, 2)), mask[0]).log_prob(x)
        torch.testing.assert_close(shared[0], found[0])


def step_of(base, t):
    """The distribution of one step."""
    if isinstance(base, MultivariateNormal):
        return MultivariateNormal(base.loc[:, t], base.scale_tril[:, t])
    if isinstance(base, Normal):
        return Normal(base.mean[:, t], base.variance[:, t].sqrt())
    return Bernoulli(base.logits[:, t])


def test_a_divergence_passes_over_states_that_are_never_reached():
    q = MarkovChain(torch.tensor([1.0, 0.0]).log(), torch.tensor([[[1.0, 0.0], [0.5, 0.5]]]).log())
    p = MarkovChain(torch.tensor([0.5, 0.5]).log(), torch.tensor([[[1.0, 0.0], [0.0, 1.0]]]).log())
    torch.testing.assert_close(closed_form_kl(q, p), torch.tensor(2.0).log())
    assert closed_form_kl(p, q) == torch.inf
