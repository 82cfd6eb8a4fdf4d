"""Running sums agree with sums over everything, and say how wrong they are."""

import pytest
import torch

from unveil.evaluation.accumulate import LogMean, Moments


@pytest.mark.parametrize("block", [1, 7, 250, 1000])
def test_moments_do_not_depend_on_the_blocks(block):
    values, moments = 100 + torch.randn(1000, 5), Moments()
    for some in values.split(block):
        moments.add(some)
    assert torch.allclose(moments.mean, values.mean(0), rtol=1e-12)
    assert torch.allclose(moments.variance_of_mean, values.var(0) / 1000, rtol=1e-10)


@pytest.mark.parametrize("block", [1, 7, 250, 1000])
def test_log_mean_does_not_depend_on_the_blocks(block):
    log_w, mean = 3 * torch.randn(1000, 5) - 2000, LogMean()
    for some in log_w.split(block):
        mean.add(some)
    assert torch.allclose(mean.value, log_w.logsumexp(0) - torch.tensor(1000.0).log(), rtol=1e-14)
    weights = log_w.softmax(0)
    assert torch.allclose(mean.effective_sample_size, 1 / weights.square().sum(0), rtol=1e-9)


@pytest.mark.parametrize("spread", [0.1, 1.0, 3.0, 8.0])
@pytest.mark.parametrize("particles", [10, 300])
def test_error_of_a_log_mean_is_honest_for_mild_and_for_wild_weights(spread, particles):
    mean = LogMean()
    mean.add(spread * torch.randn(particles, 3000))
    assert mean.variance.mean().sqrt() == pytest.approx(mean.value.std().item(), rel=0.15)


def test_one_particle_tells_no_error():
    moments, mean = Moments(), LogMean()
    moments.add(torch.randn(1, 3))
    mean.add(torch.randn(1, 3))
    assert moments.variance_of_mean.isnan().all()
    assert mean.variance.isnan().all()


def test_weight_that_only_one_draw_has_is_infinitely_uncertain():
    mean = LogMean()
    mean.add(torch.cat([torch.zeros(1, 1), torch.full((9, 1), -torch.inf)]))
    assert mean.value.item() == pytest.approx(-torch.tensor(10.0).log().item())
    assert mean.variance.item() == torch.inf
