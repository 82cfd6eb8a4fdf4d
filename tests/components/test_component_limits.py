"""What keeps a component from collapsing, and what is no component at all."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

from tests.components.reference import GAUSSIAN, in_units, made, observations, responsibilities
from tests.registry import BINARY, COMPONENTS, FOUR, REAL
from unveil.components import Anisotropic, Binomial, Categorical, Diagonal, Full, Isotropic, Spherical, Tied, shares
from unveil.components.seeding import first_guess
from unveil.variables import Variable

close = partial(torch.testing.assert_close, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", GAUSSIAN)
def test_a_component_on_one_example_is_held_at_the_floor_and_says_so(name):
    options = {"latent_dim": 1} if name in ("Anisotropic", "Isotropic") else {}
    family, x = made(name, 2, floor=1e-3, **options), torch.randn(40, 3) * 5 + 100
    family.initialize(x, torch.Generator())
    r = torch.full((2, len(x)), 0.5)
    r[0] = 0
    r[0, 3] = 1
    if name == "Tied":  # all of its components are on one example each
        r = torch.zeros(2, len(x))
        r[0, 3] = r[1, 5] = 1
    with torch.no_grad():
        for _ in range(30):
            family.maximize(family.statistics(family.see(x), r))
    assert family.collapsed.tolist() == [True, name == "Tied"]
    deviation = family.units.deviation
    smallest = torch.linalg.eigvalsh(family.covariances / torch.outer(deviation, deviation))[:, 0]
    close(smallest[0], torch.tensor(1e-3), rtol=1e-5, atol=0)
    close(family.means[0], x[3])
    assert family.log_prob(family.see(x)).isfinite().all()


@pytest.mark.parametrize("name", ["Diagonal", "Full"])
def test_only_what_is_below_the_floor_is_raised(name):
    family = COMPONENTS[name][0](REAL, 1, floor=1e-2).double()
    x = torch.randn(200, 3)
    x[:, 2] = x[:, 1] + 1e-4 * torch.randn(200) if name == "Full" else x[:, 2]
    r = torch.ones(1, 200)
    if name == "Diagonal":
        r, x[:50, 2] = (torch.arange(200) < 50).double().unsqueeze(0), 0.3
    family.initialize(x, torch.Generator())
    with torch.no_grad():
        family.maximize(family.statistics(family.see(x), r))
    seen = x[r[0] > 0].numpy()
    u = (seen - x.numpy().mean(0)) / x.numpy().std(0)
    values, vectors = np.linalg.eigh(np.cov(u.T, ddof=0))
    expected = vectors * np.maximum(values, 1e-2) @ vectors.T
    if name == "Diagonal":
        expected = np.diag(np.maximum(u.var(0), 1e-2))
    close(in_units(family.covariances[0], x.numpy().std(0)), torch.from_numpy(expected))
    assert family.collapsed.all()


@pytest.mark.parametrize("name", ["Binomial", "Binomial of two", "Categorical"])
def test_components_of_levels_do_not_collapse(name):
    family, x = made(name), observations(COMPONENTS[name][1])[:1].expand(40, -1)
    with torch.no_grad():
        family.maximize(family.statistics(family.see(x), responsibilities(3, 40)))
    assert not family.collapsed.any()
    assert family.collapsed.shape == (3,)


@pytest.mark.parametrize("x", [BINARY, Variable((3,), levels=7)], ids=str)
def test_probabilities_of_tries_stay_away_from_0_and_1(x):
    family = Binomial(x, 1, floor=0.05).double()
    top = x.levels - 1
    rows = torch.tensor([[0.0, top, 0], [0, top, top], [0, top, 0], [0, top, 0]])
    with torch.no_grad():
        family.maximize(family.statistics(family.see(rows), torch.ones(1, 4)))
    close(family.logits.sigmoid().detach(), torch.tensor([[0.05, 0.95, 0.25]]))


def test_probabilities_of_levels_below_the_floor_are_raised_until_none_is():
    family = Categorical(Variable((1,), levels=4), 1, floor=0.1).double()
    rows = torch.arange(4.0).unsqueeze(1)
    r = torch.tensor([[0.0, 0.105, 0.3, 0.595]])  # raising the first pushes the second below
    with torch.no_grad():
        family.maximize(family.statistics(family.see(rows), r))
    expected = torch.tensor([0.1, 0.1, 0.8 * 0.3 / 0.895, 0.8 * 0.595 / 0.895])
    close(family.probabilities[0, 0], expected)
    best = r @ expected.log()
    for _ in range(300):
        other = 0.1 + 0.6 * torch.distributions.Dirichlet(torch.ones(4)).sample()
        assert r @ other.log() <= best + 1e-12


def test_shares_are_logs_of_parts_of_the_sum_or_what_is_given_where_nothing_was_counted():
    counts = torch.tensor([[1.0, 3.0, 0.0], [0.0, 0.0, 0.0]])
    found = shares(counts, torch.tensor([7.0, 8.0, 9.0]))
    close(
        found, torch.tensor([[0.25, 0.75, 0.0], [0, 0, 0]]).log().where(counts.sum(1, True) > 0, torch.arange(7.0, 10))
    )


@pytest.mark.parametrize("starts", [1, 2, 5])
def test_a_first_guess_gives_nine_tenths_to_one_component_and_spreads_the_rest(starts, generator):
    points = torch.randn(2, 30, generator=generator)
    guess = first_guess(points, starts, 4, torch.ones(30), generator)
    assert guess.shape == (starts, 4, 30)
    close(guess.sum(1), torch.ones(starts, 30))
    close(guess.max(1).values, torch.full((starts, 30), 0.9 + 0.1 / 4))


def test_k_means_finds_clusters_that_lie_far_apart(generator):
    label = torch.arange(90) % 3
    points = (torch.eye(3)[label] * 100 + torch.randn(90, 3, generator=generator)).mT
    guess = first_guess(points, 6, 3, torch.ones(90), generator)[:3].argmax(1)
    for found in guess:
        assert {len(found[label == k].unique()) for k in range(3)} == {1}
        assert len(found.unique()) == 3


def test_a_first_guess_is_drawn_to_no_example_without_weight(generator):
    points = torch.cat([torch.randn(1, 20, generator=generator), torch.full((1, 20), 1e6)], 1)
    weight = torch.cat([torch.ones(20), torch.zeros(20)])
    for guess in first_guess(points, 8, 2, weight, generator):
        near = guess.argmax(0)[:20]
        assert len(near.unique()) == 2  # a centre on the far points would leave one to all of these


def test_fewer_different_examples_than_components_are_no_trouble(generator):
    points = torch.tensor([[0.0, 0.0, 0.0, 1.0]])
    assert first_guess(points, 4, 3, torch.ones(4), generator).isfinite().all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Full(REAL, 0), "components: expected at least 1, got 0"),
        (lambda: Full(FOUR, 2), "x: Full expects real numbers, got 4 levels"),
        (lambda: Tied(FOUR, 2), "x: Tied expects real numbers"),
        (lambda: Diagonal(BINARY, 2), "x: Diagonal expects real numbers, got 2 levels"),
        (lambda: Spherical(BINARY, 2), "x: Spherical expects real numbers"),
        (lambda: Anisotropic(FOUR, 2), "x: Anisotropic expects real numbers"),
        (lambda: Isotropic(FOUR, 2), "x: Isotropic expects real numbers"),
        (lambda: Binomial(REAL, 2), "x: Binomial expects whole numbers"),
        (lambda: Categorical(REAL, 2), "x: Categorical expects whole numbers"),
        (lambda: Full(REAL, 2, floor=1.0), "floor: expected a share of the data's variance"),
        (lambda: Diagonal(REAL, 2, floor=-0.1), "floor: expected a share of the data's variance"),
        (lambda: Anisotropic(REAL, 2, floor=0.0), "floor: expected a share of the data's variance"),
        (lambda: Binomial(BINARY, 2, floor=0.5), "floor: expected a probability above 0 and below 1/2, got 0.5"),
        (lambda: Categorical(FOUR, 2, floor=0.25), "floor: expected a probability above 0 and below 1/4, got 0.25"),
        (lambda: Categorical(FOUR, 2, floor=0.0), "floor: expected a probability above 0"),
        (lambda: Anisotropic(REAL, 2, latent_dim=3), "latent_dim: expected 1 to 2 factors of 3 entries, got 3"),
        (lambda: Isotropic(REAL, 2, latent_dim=0), "latent_dim: expected 1 to 2 factors of 3 entries, got 0"),
        (lambda: Full(Variable((1, 2, 2)), 2)(torch.tensor(0)), "x: expected vectors, got shape"),
    ],
)
def test_what_can_not_be_is_refused_in_words(make, message):
    with pytest.raises(ValueError, match=message):
        make()
