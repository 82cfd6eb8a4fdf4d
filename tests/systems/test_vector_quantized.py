"""A vector-quantized VAE in two stages: codes, then a categorical prior on the cached codes, joined again.

The codebook is finite, so that p(x) is a sum over its codes.
"""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor, nn

from tests.agreement import assert_mean
from tests.systems.fitting import fit
from unveil.distributions import Categorical, Coded, Quantized
from unveil.gradients import DReG, StickingTheLanding
from unveil.likelihoods import FixedGaussian
from unveil.models import Enumerate, FromPosterior, FromPrior, Model, Trace, Visit
from unveil.nets import MLP
from unveil.objectives import ELBO, IWAE, Objective
from unveil.parts import Part
from unveil.variables import Batch, Variable

X, CODES = Variable((2,)), 6
CENTRES = torch.tensor([[2.0, 0.0], [0.0, 2.0], [-2.0, 0.0], [0.0, -2.0]], dtype=torch.float64)
SHARES = torch.tensor([0.4, 0.3, 0.2, 0.1], dtype=torch.float64)


class CodePrior(Part):
    """p(code): uniform until it is fitted."""

    def __init__(self, codes: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(codes))

    def forward(self) -> Categorical:
        return Categorical(self.logits)


class VQVAE(Model):
    """Every x has one of a few vectors."""

    def __init__(self, x: Variable, codes: int, dim: int = 2) -> None:
        super().__init__()
        self.x, small = x, partial(MLP, hidden=(16,))
        self.encoder = small(x.shape, (dim,))
        self.codebook = nn.Parameter(torch.randn(codes, dim))
        self.prior = CodePrior(codes).requires_grad_(False)
        self.likelihood = FixedGaussian(x, dim, decoder=small, scale=0.3)

    def walk(self, visit: Visit, batch: Batch) -> None:
        z = visit(
            "z",
            p=lambda: Coded(self.prior(), self.codebook),
            q=lambda: Quantized(self.encoder(batch["x"]), self.codebook),
        )
        visit("x", p=lambda: self.likelihood(z), value=batch["x"])


class Quantization(Objective):
    """The ELBO; the codes move to the encodings, and the encodings commit themselves to their codes."""

    def __init__(self, commitment: float = 0.25) -> None:
        super().__init__()
        self.commitment = commitment

    def forward(self, trace: Trace) -> Tensor:
        q, code = trace["z"].q, trace["z"].code[0]
        codebook_loss = (q.codebook[code] - q.encoding.detach()).square().sum(-1)
        commitment_loss = (q.codebook[code].detach() - q.encoding).square().sum(-1)
        return ELBO()(trace) - codebook_loss - self.commitment * commitment_loss


class SecondStage(Model):
    """An exact density as a model, of cached codes."""

    def __init__(self, density: CodePrior) -> None:
        super().__init__()
        self.density = density.requires_grad_(True)

    def walk(self, visit: Visit, batch: Batch) -> None:
        visit("x", p=self.density, value=batch["x"])


class Joined(VQVAE):
    """The second stage spliced in as the prior over the codes."""

    def __init__(self, x: Variable, codes: int) -> None:
        super().__init__(x, codes)
        self.second = SecondStage(CodePrior(codes))

    def walk(self, visit: Visit, batch: Batch) -> None:
        q = lambda: Quantized(self.encoder(batch["x"]), self.codebook)  # noqa: E731
        z = visit("z", p=lambda: self.second().coded(self.codebook), q=q)
        visit("x", p=lambda: self.likelihood(z), value=batch["x"])


@pytest.fixture
def x() -> Tensor:
    """Four clusters of unequal size."""
    which = torch.multinomial(SHARES, 400, replacement=True)
    return CENTRES[which] + 0.3 * torch.randn(400, 2)


@pytest.fixture
def model(x, generator) -> VQVAE:
    """After the first stage."""
    model = VQVAE(X, CODES)
    with torch.no_grad():
        model.codebook.copy_(model.encoder(x[:CODES]))
    fit(model, Batch(x), generator, Quantization(), steps=200)
    return model


def entropy(codes: Tensor) -> Tensor:
    """Of the codes' frequencies, in nats."""
    shares = codes.bincount(minlength=CODES) / len(codes)
    return -(shares * shares.clamp_min(1e-300).log()).sum()


@pytest.mark.parametrize("positions", [(), (3,), (2, 3)])
def test_codes_to_vectors_to_codes_is_the_identity(positions, generator):
    codebook, codes = torch.randn(7, 4), torch.randint(7, (5, *positions))
    q = Quantized(codebook[codes], codebook, event_dims=len(positions))
    assert torch.equal(q.code, codes)
    assert torch.equal(q.mode_code[1], codes)
    vector, code = q.draw_code((3,), generator)
    assert torch.equal(code, codes.expand(3, 5, *positions))
    assert torch.allclose(vector, codebook[code])
    assert q.batch_shape == (5,)
    assert q.event_shape == (*positions, 4)
    assert torch.equal(q.log_prob(codes), torch.zeros(5))
    assert torch.equal(q.log_prob((codes + 1) % 7), torch.full((5,), -torch.inf))


def test_a_codebook_far_from_the_origin_is_told_apart_in_single_precision():
    codebook = torch.linspace(-1, 1, 100, dtype=torch.float32).unsqueeze(1) + 300.0
    codes = torch.randint(100, (200,))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(Quantized(codebook[codes] + 0.003, codebook).code, codes)


def test_sampling_codes_at_temperature_one_is_sampling(model, generator):
    assert model.sample(3, temperature=1.0, generator=generator).shape == (3, 2)
    with pytest.raises(ValueError, match="a Coded has no tempered form"):
        model.sample(3, temperature=0.5, generator=generator)


def test_gradient_passes_straight_through_to_the_encoding_and_not_to_the_codebook(generator):
    encoding, codebook = torch.randn(5, 4, requires_grad=True), torch.randn(7, 4, requires_grad=True)
    vector, _ = Quantized(encoding, codebook).draw_code((), generator)
    weight = torch.randn(5, 4)
    (vector * weight).sum().backward()
    assert torch.equal(encoding.grad, weight)
    assert codebook.grad is None


def test_gradient_of_the_bound_reaches_the_encoder(x, generator):
    model = VQVAE(X, CODES)
    trace = model.trace(x, FromPosterior(1, generator, pathwise=True))
    (found,) = torch.autograd.grad(ELBO()(trace).mean(), model.encoder.output.weight)
    mean = model.likelihood(trace["z"].value)
    by_hand = torch.autograd.grad(mean.log_prob(x).mean(), trace["z"].value)[0]
    (expected,) = torch.autograd.grad(model.encoder(x), model.encoder.output.weight, by_hand[0])
    assert torch.allclose(found, expected)


def test_first_stage_finds_the_clusters(model, x):
    codes = model.encode(x)
    nearest = torch.cdist(x, CENTRES).argmin(-1)
    for code in codes.unique():
        share = (nearest[codes == code].bincount(minlength=4) / (codes == code).sum()).max()
        assert share > 0.95
    assert (model.reconstruct(x) - x).square().mean() < 2 * 0.3**2


def test_code_is_integers_and_decodes_to_its_vector(model, x):
    codes = model.encode(x)
    assert codes.dtype == torch.long
    assert codes.shape == (400,)
    assert torch.equal(codes, model.encode(x))
    assert torch.allclose(model.decode(codes).mean, model.likelihood(model.codebook[codes]).mean)


def test_rate_is_the_price_of_the_code(model, x, generator):
    trace = model.trace(x, FromPosterior(1, generator))
    assert torch.allclose(trace.rate(), torch.tensor(float(CODES)).log())
    assert torch.allclose(trace.rate(closed_form=False), trace.rate())
    assert trace["z"].code.shape == (1, 400)


def test_second_stage_reaches_the_entropy_of_the_codes_and_is_joined_again(model, x, generator):
    codes = model.encode(x)
    before = ELBO()(model.trace(x)).mean()
    second = SecondStage(model.prior)
    assert torch.allclose(ELBO()(second.trace(codes)).mean(), -torch.tensor(float(CODES)).log())
    fit(second, Batch(codes), generator, steps=400, lr=0.3)
    reached = ELBO()(second.trace(codes)).mean()
    assert entropy(codes) < torch.tensor(float(CODES)).log() - 0.05
    assert -entropy(codes) - 1e-3 < reached <= -entropy(codes) + 1e-9
    assert torch.allclose(second.trace(codes).log_w[0], second.density().log_prob(codes))

    # joined again: the bound is better by what the codes cost less, and samples have the clusters' shares
    after = ELBO()(model.trace(x)).mean()
    assert torch.allclose(after - before, reached + torch.tensor(float(CODES)).log())
    samples = model.sample(20_000, generator=generator)
    drawn = model.trace(Batch(size=20_000), FromPrior(1, generator))["z"].code[0]
    assert_mean(nn.functional.one_hot(drawn, CODES).double(), model.prior().probs)
    assert_mean(samples, (model.prior().probs[:, None] * model.likelihood(model.codebook).mean).sum(0))


def test_bound_is_below_the_exact_evidence_that_enumerating_the_codes_gives(model, x):
    exact = model.trace(x, Enumerate({"z": CODES}))
    log_x = torch.logsumexp(
        model.prior().logits[:, None] + model.likelihood(model.codebook[:, None]).log_prob(x), dim=0
    )
    assert torch.allclose(exact.log_w, log_x.expand(CODES, 400))
    assert (ELBO()(model.trace(x)) <= log_x + 1e-9).all()
    assert (ELBO()(model.trace(x)) < log_x - 1e-6).any()


def test_weights_of_a_quantized_code_are_below_the_evidence_and_its_replays_have_no_gradient(model, x, generator):
    # q leaves all other codes out: E[w] = p(x, z) of one code
    exact = model.trace(x, Enumerate({"z": CODES})).log_w[0]
    trace = model.trace(x, FromPosterior(50, generator))
    estimate = trace.log_mean_exp(trace.log_w)
    assert torch.allclose(estimate, model.log_joint(x, model.encode(x)))
    assert (estimate < exact + 1e-9).all()
    with pytest.raises(ValueError, match="gradient: DReG walks again at given codes of z"):
        DReG()(model, IWAE(2), Batch(x), generator)


def test_sticking_the_landing_keeps_the_straight_through_gradient(model, x, generator):
    objective = ELBO(closed_form=False)
    step = StickingTheLanding()(model, objective, Batch(x), generator)
    plain = -objective(model.trace(x, FromPosterior(1, generator, pathwise=True)))
    weight = model.encoder.output.weight
    found = [torch.autograd.grad(loss.mean(), weight)[0] for loss in (step.loss, plain)]
    assert found[0].abs().max() > 0
    assert torch.allclose(*found)


def test_spliced_second_stage_is_the_same_model(model, x):
    joined = Joined(X, CODES)
    joined.load_state_dict({**joined.state_dict(), **model.state_dict()})
    with torch.no_grad():
        model.prior.logits.normal_()
        joined.second.density.logits.copy_(model.prior.logits)
    codes = model.encode(x)
    assert torch.equal(joined.encode(x), codes)
    assert torch.allclose(ELBO()(joined.trace(x)), ELBO()(model.trace(x)))
    assert torch.allclose(joined.log_joint(x, codes), model.log_joint(x, codes))
    assert torch.allclose(joined.decode(codes).mean, model.decode(codes).mean)
    one, other = (m.trace(Batch(size=500), FromPrior(1, torch.Generator().manual_seed(3))) for m in (joined, model))
    assert torch.equal(one["z"].code, other["z"].code)
    assert torch.allclose(one["x"].value, other["x"].value)
