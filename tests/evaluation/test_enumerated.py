"""ELBO surgery of a categorical code is a sum over its values: exact, for any q."""

import math

import pytest
import torch

from tests.evaluation.test_surgery import within
from unveil.distributions import Categorical, Normal
from unveil.evaluation import evaluate, surgery
from unveil.models import Model, Visit
from unveil.variables import Batch, Variable


class Table(Model):
    """x is a row's own log-probabilities of z; p(z) = softmax(1, 0, -1)."""

    x = Variable((3,))

    def walk(self, visit: Visit, batch: Batch) -> None:
        x, prior = batch["x"], torch.tensor([1.0, 0.0, -1.0]) if batch.context is None else batch.context
        z = visit("z", p=lambda: Categorical(prior), q=None if x is None else lambda: Categorical(x))
        visit("x", p=lambda: Normal(z.double().unsqueeze(-1).expand(*z.shape, 3), torch.ones(3)), value=x)


class Impossible(Model):
    """x is a row's own probabilities of z, some of them 0."""

    x = Variable((3,))

    def walk(self, visit: Visit, batch: Batch) -> None:
        x = batch["x"]
        z = visit("z", p=lambda: Categorical(torch.zeros(3)), q=None if x is None else lambda: Categorical(x.log()))
        visit("x", p=lambda: Normal(z.double().unsqueeze(-1).expand(*z.shape, 3), torch.ones(3)), value=x)


class Given(Table):
    """p(z) = softmax(context)."""

    context = Variable((3,))


def exact(x: torch.Tensor, rows: torch.Tensor | slice = slice(None)) -> tuple[float, float]:
    q, p = x.softmax(1), torch.tensor([1.0, 0.0, -1.0]).softmax(0)
    aggregate = q.mean(0)
    terms = torch.special.entr(q)
    information = ((q * -aggregate.log()).sum(1) - terms.sum(1))[rows].mean()
    marginal = (q * (aggregate.log() - p.log())).sum(1)[rows].mean()
    return information.item(), marginal.item()


def rows(n: int = 40) -> torch.Tensor:
    return 3 * torch.randn(n, 3)


def test_both_parts_are_sums_and_balance():
    x = rows()
    found = evaluate(Table(), x, particles=2, naive=False)
    information, marginal = exact(x)
    assert found.mutual_information.value == pytest.approx(information, abs=1e-12)
    assert found.marginal_kl.value == pytest.approx(marginal, abs=1e-12)
    assert found.mean_kl.value == pytest.approx(information + marginal, abs=1e-12)
    parts = (found.mutual_information, found.marginal_kl, found.mean_kl, found.surgery_residual)
    assert [(part.bound, part.monte_carlo_error) for part in parts] == [("exact", 0.0)] * 4


def test_draws_agree(monkeypatch):
    x = rows()
    monkeypatch.setattr(surgery, "enumerable", lambda probe: None)
    found = evaluate(Table(), x, particles=10, naive=False)
    information, marginal = exact(x)
    assert within(found.mutual_information, information)
    assert within(found.marginal_kl, marginal)
    assert found.mutual_information.bound == "unbiased"


def test_the_code_is_over_all_rows_where_some_are_evaluated():
    x = rows(50)
    found = evaluate(Table(), x, particles=2, limit=8, naive=False)
    information, marginal = exact(x, found.index)
    assert found.mutual_information.value == pytest.approx(information, abs=1e-12)
    assert found.marginal_kl.value == pytest.approx(marginal, abs=1e-12)


def test_a_certain_code_reaches_the_cap_and_an_empty_value_is_no_trouble():
    x = torch.tensor([[0.0, -torch.inf, -torch.inf], [-torch.inf, 0.0, -torch.inf]])
    found = evaluate(Impossible(), x.exp(), particles=2, naive=False)
    assert found.mutual_information.value == pytest.approx(math.log(2), abs=1e-9)
    assert found.marginal_kl.value == pytest.approx(math.log(3) - math.log(2), abs=1e-9)
    assert found.at_cap


def test_a_prior_given_a_context_balances_and_says_that_it_is_no_divergence():
    x, context = rows(), torch.randn(40, 3)
    found = evaluate(Given(), Batch(x=x, context=context), particles=2, naive=False)
    assert found.surgery_residual.value == pytest.approx(0, abs=1e-12)
    assert any("p(z | c) depends on the context" in note for note in found.notes)
