"""A prior with an unnormalised factor, spliced in: the factor is part of the rate, not of the distortion."""

from __future__ import annotations

import pytest
import torch

from unveil.distributions import Normal
from unveil.models import VAE, FromPosterior, Model, Visit
from unveil.objectives import ELBO
from unveil.variables import Batch, Variable

LOG_FACTOR = -5.0


class Weighted(Model):
    """N(0, I) times a constant."""

    def walk(self, visit: Visit, batch: Batch) -> None:
        visit("x", p=lambda: Normal(torch.zeros(2), torch.ones(2)), value=batch["x"])
        visit.factor("constant", lambda: torch.full(visit.shape, LOG_FACTOR))


class Spliced(VAE):
    """A VAE with that prior."""

    def __init__(self, x: Variable) -> None:
        super().__init__(x, latent_dim=2)
        self.weighted = Weighted()

    def walk(self, visit: Visit, batch: Batch) -> None:
        z = visit("z", p=lambda: self.weighted(), q=lambda: self.posterior(batch["x"]))
        visit("x", p=lambda: self.likelihood(z), value=batch["x"])


@pytest.fixture
def both() -> tuple[VAE, VAE]:
    spliced, plain = Spliced(Variable((4,), levels=2)), VAE(Variable((4,), levels=2), latent_dim=2)
    plain.load_state_dict(spliced.state_dict(), strict=False)
    return spliced, plain


def test_a_factor_of_the_prior_is_paid_for_as_rate(both):
    x = torch.randint(2, (6, 4)).double()
    one, other = (model.trace(x, FromPosterior(3, torch.Generator().manual_seed(0))) for model in both)
    assert torch.allclose(one.distortion, other.distortion)
    assert torch.allclose(one.rate(), other.rate(closed_form=False) - LOG_FACTOR)
    assert torch.allclose(one.log_w, other.log_w + LOG_FACTOR)
    assert torch.allclose(ELBO()(one), ELBO(closed_form=False)(other) + LOG_FACTOR)


def test_a_factor_has_no_value_to_encode_or_replay(both):
    spliced, plain = both
    x = torch.randint(2, (6, 4)).double()
    assert set(spliced.trace(x).values) == {"z", "z/x"}
    code = spliced.encode(x)
    assert torch.equal(code, plain.encode(x))
    assert torch.allclose(spliced.log_joint(x, code), plain.log_joint(x, code) + LOG_FACTOR)
    assert torch.allclose(spliced.decode(code).mean, plain.decode(code).mean)
