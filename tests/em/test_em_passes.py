"""Passes over chains: by blocks or one step at a time, they are the same; and they are what the recursions say."""

import numpy as np
import pytest
import torch

from unveil.models import passes
from unveil.models.passes import Passes, messages


def chain(length: int, *, batch: int = 2, states: int = 3, starts: int = 2) -> tuple[torch.Tensor, ...]:
    """log pi, log A with a transition that is impossible, and log b with surprises and an impossible emission."""
    generator = torch.Generator().manual_seed(length)
    first = torch.randn(starts, states, generator=generator).log_softmax(-1)
    after = torch.randn(starts, states, states, generator=generator)
    after[..., 1, 0] = -torch.inf
    b = 30 * torch.randn(length, starts, batch, states, generator=generator)
    b[length // 2, :, :, 1] = -torch.inf
    return first, after.log_softmax(-1), b


@pytest.mark.parametrize("length", [33, 34, 37, 101])
def test_blocks_are_steps_one_after_another(length, monkeypatch):
    first, after, b = chain(length)
    by_blocks = messages(first.unsqueeze(-2), after.unsqueeze(-3), b)
    monkeypatch.setattr(passes, "LONG", 1000)
    one_by_one = messages(first.unsqueeze(-2), after.unsqueeze(-3), b)
    assert torch.equal(by_blocks == -torch.inf, one_by_one == -torch.inf)
    finite = one_by_one > -torch.inf
    torch.testing.assert_close(by_blocks[finite], one_by_one[finite], rtol=1e-12, atol=1e-9)


def test_long_chains_are_cut_into_blocks(monkeypatch):
    cut = []
    monkeypatch.setattr(passes, "_blocks", lambda *given: cut.append(given) or given[2])
    messages(*(each.unsqueeze(i) for each, i in zip(chain(40)[:2], (-2, -3), strict=True)), chain(40)[2])
    assert cut


@pytest.mark.parametrize("length", [1, 2, 7, 40])
def test_they_are_the_products_of_probabilities(length):
    first, after, b = (each.double() for each in chain(length, batch=1, starts=1))
    b = b / 30
    found = Passes(first[0], after[0], b[:, 0])
    pi, a, p = first[0].exp().numpy(), after[0].exp().numpy(), b[:, 0, 0].exp().numpy()
    alpha, beta = [pi * p[0]], [np.ones(3)]
    for t in range(1, length):
        alpha.append(p[t] * (alpha[-1] @ a))
        beta.append(a @ (p[-t] * beta[-1]))
    evidence, beta = alpha[-1].sum(), beta[::-1]
    states = np.array([x * y for x, y in zip(alpha, beta, strict=True)]) / evidence
    pairs = sum(
        (np.outer(alpha[t], p[t + 1] * beta[t + 1]) * a / evidence for t in range(length - 1)), np.zeros((3, 3))
    )
    assert found.log_p.item() == pytest.approx(np.log(evidence), rel=1e-12)
    np.testing.assert_allclose(found.log_states[:, 0].exp(), states, rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(found.pairs(torch.ones(1, dtype=torch.double)), pairs, rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(found.posterior().marginals()[0].exp(), states, rtol=1e-10, atol=1e-14)


def test_pairs_are_weighted_and_summed_in_pieces(monkeypatch):
    found = Passes(*chain(12))
    weight = torch.tensor([0.5, 0.0]).double()
    whole = found.pairs(weight)
    monkeypatch.setattr(passes, "AT_ONCE", 1)
    torch.testing.assert_close(found.pairs(weight), whole)
    torch.testing.assert_close(whole.sum((-2, -1)), torch.full((2,), 11 * 0.5).double())


def test_after_a_state_that_is_impossible_the_next_is_any():
    first, after, b = (each.double() for each in chain(6, batch=1, starts=1))
    after = torch.full_like(after, -torch.inf)
    after[..., torch.arange(3), torch.arange(3)] = 0.0  # states stay
    b[3, ..., 1] = -torch.inf
    rows = Passes(first[0], after[0], b[:, 0]).posterior().log_transitions.exp()
    torch.testing.assert_close(rows.sum(-1), torch.ones(1, 5, 3).double())
    torch.testing.assert_close(rows[0, 2, 1], torch.full((3,), 1 / 3).double())
