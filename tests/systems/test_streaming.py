"""A trace of every toy is the same for every chunk size, and no draw comes from torch's own generator."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from tests.systems.diffusion import Diffusion, Optimal
from tests.systems.test_enumerated_mixture import Mixture
from tests.systems.test_gumbel_softmax import Gumbel
from tests.systems.test_image_and_label import IMAGE, LABEL, ImageAndLabel
from tests.systems.test_latent_diffusion import latent_diffusion
from tests.systems.test_two_level_bottom_up import BottomUp
from tests.systems.test_two_level_top_down import TopDown
from tests.systems.test_vector_quantized import CODES, VQVAE
from unveil.distributions import RowGenerators
from unveil.models import FromPosterior, FromPrior, Model, Source
from unveil.variables import Batch, Variable

ROWS = 7
REAL = Variable((2,))
TOYS: dict[str, Callable[[], Model]] = {
    "bottom up": lambda: BottomUp(REAL),
    "top down": lambda: TopDown(REAL),
    "diffusion": lambda: Diffusion(Optimal(0.5), features=2),
    "latent diffusion": latent_diffusion,
    "vector quantized": lambda: VQVAE(REAL, CODES),
    "gumbel": lambda: Gumbel(Variable((2,), levels=2)),
    "mixture": lambda: Mixture(3, 2),
}


@pytest.fixture(params=TOYS)
def model(request) -> Model:
    return TOYS[request.param]()


@pytest.mark.parametrize("source", [FromPosterior, FromPrior])
def test_weights_do_not_depend_on_the_chunks(model, source):
    x = (torch.rand(ROWS, 2) < 0.5).double()

    def log_w(rows: list[int]) -> torch.Tensor:
        return model.trace(x[rows], source(3, RowGenerators(5, rows))).log_w

    whole = log_w(list(range(ROWS)))
    assert torch.allclose(whole, torch.cat([log_w([0, 1, 2]), log_w([3]), log_w([4, 5, 6])], dim=1))
    certain = source is FromPosterior and isinstance(model, VQVAE)
    assert certain == torch.allclose(whole, model.trace(x, source(3, RowGenerators(6, range(ROWS)))).log_w)


@pytest.mark.parametrize("make", [FromPosterior, FromPrior])
def test_every_draw_comes_from_the_generator_that_is_handed_over(model, make, generator):
    x, before = Batch((torch.rand(ROWS, 2) < 0.5).double()), torch.random.get_rng_state()
    sources: list[Source] = [make(2, generator)]
    if make is FromPosterior and not isinstance(model, Gumbel | Mixture):
        sources.append(FromPosterior(2, generator, pathwise=True, subsample=True))
    for source in sources:
        model.trace(x, source)
    model.sample(3, generator=generator)
    model.encode(x)
    assert torch.equal(before, torch.random.get_rng_state())


def test_two_observed_variables_are_chunked_alike():
    model = ImageAndLabel(IMAGE, LABEL)
    x = Batch({"image": torch.zeros(ROWS, 1, 2, 3), "label": torch.arange(ROWS) % 3})

    def log_w(rows: list[int]) -> torch.Tensor:
        return model.trace(x.rows(torch.tensor(rows)), FromPosterior(3, RowGenerators(5, rows))).log_w

    assert torch.allclose(log_w(list(range(ROWS))), torch.cat([log_w([0, 1, 2]), log_w([3, 4, 5, 6])], dim=1))
