"""The loop: what it keeps, when it stops, what it refuses."""

import json
import math

import pytest
import torch

import unveil as uv
from unveil.data import Data, Split
from unveil.objectives import ELBO, BetaELBO, Cosine, Linear
from unveil.parts import Progress
from unveil.training.feed import Feed
from unveil.training.fit import calibrate


@pytest.fixture
def data():
    pattern = (torch.rand(3, 10) < 0.5).double()
    rows = pattern[torch.randint(3, (300,))]
    return uv.data.load((rows + (torch.rand(300, 10) < 0.05).double()) % 2, test="none")


@pytest.fixture
def model(data):
    return uv.VAE(data.variable, latent_dim=2)


def test_fitting_raises_the_validation_bound(model, data):
    run = uv.fit(model, data, epochs=30, lr=3e-3, progress=False)
    assert run.metrics[-1]["validation"] > run.metrics[0]["validation"] + 1
    assert run.finished
    assert not run.model.training


def test_the_best_validated_weights_are_kept(model, data):
    run = uv.fit(model, data, epochs=40, lr=0.03, progress=False)
    best = max(line["validation"] for line in run.metrics)
    noise = uv.models.FromPosterior(generator=torch.Generator().manual_seed(0))
    found = ELBO()(run.model.trace(run.data.validation.batch(slice(None)), noise)).mean().item()
    assert best > run.metrics[-1]["validation"]
    assert math.isclose(found, best, abs_tol=1e-9)


def test_validation_is_at_beta_one_whatever_training_is(data):
    runs = []
    for beta in (1e-9, 1.0):
        torch.manual_seed(0)
        model = uv.VAE(data.variable, latent_dim=2)
        runs.append(uv.fit(model, data, objective=BetaELBO(beta), epochs=1, lr=1e-12, progress=False).metrics[0])
    assert math.isclose(runs[0]["validation"], runs[1]["validation"], abs_tol=1e-6)
    assert runs[0]["objective"] > runs[1]["objective"]


def test_patience_ends_training(model, data):
    run = uv.fit(model, data, epochs=200, lr=0.05, patience=3, progress=False)
    validated = [line["validation"] for line in run.metrics]
    assert len(validated) < 200
    assert max(validated) == validated[-4]


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(data):
    found = []
    for seed in (0, 0, 1):
        torch.manual_seed(0)
        run = uv.fit(uv.VAE(data.variable, latent_dim=2), data, epochs=2, seed=seed, progress=False)
        found.append(torch.cat([p.flatten() for p in run.model.parameters()]))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_torch_s_own_generator_is_left_alone(model, data):
    before = torch.get_rng_state()
    uv.fit(model, data, epochs=1, progress=False)
    assert torch.equal(torch.get_rng_state(), before)


def test_metrics_are_written_line_by_line(model, data, tmp_path):
    run = uv.fit(model, data, epochs=3, out=tmp_path / "run", progress=False)
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert lines == run.metrics
    assert [line["epoch"] for line in lines] == [1, 2, 3]


def test_a_saved_model_is_the_fitted_model(model, data, tmp_path):
    run = uv.fit(model, data, epochs=1, out=tmp_path / "run", progress=False)
    loaded = uv.load(tmp_path / "run").double()
    x = run.data.train.batch(slice(0, 5)).x
    assert torch.allclose(loaded.encode(x), run.model.encode(x))
    assert loaded.x == model.x


def test_averaged_weights_lag_behind(data):
    found = []
    for average in (0.0, 0.99):
        torch.manual_seed(0)
        run = uv.fit(uv.VAE(data.variable, latent_dim=2), data, epochs=1, average=average, progress=False)
        found.append(run.metrics[0]["validation"])
    assert found[0] > found[1]


def test_clipping_bounds_the_step(data):
    found = []
    for epochs in (1, 3):
        torch.manual_seed(0)
        run = uv.fit(uv.VAE(data.variable, latent_dim=2), data, epochs=epochs, clip=1e-30, progress=False)
        found.append(torch.cat([p.flatten() for p in run.model.parameters()]))
    assert torch.allclose(found[0], found[1], rtol=0, atol=1e-15)


def test_a_schedule_is_followed(model, data):
    run = uv.fit(model, data, epochs=4, lr=Cosine(peak=0.01, end=0.001, warmup=0.25), progress=False)
    rates = [line["lr"] for line in run.metrics]
    assert rates[0] == pytest.approx(0.01, rel=0.01)
    assert rates[-1] == pytest.approx(0.001, rel=0.01)
    assert Linear(0.0, 1.0, 10.0).at(Progress(5, 5.0, 100.0)) == 0.5


def test_a_non_finite_loss_names_the_term_the_rows_and_the_checkpoint(model, data, tmp_path):
    with torch.no_grad():
        model.likelihood.net.output.weight.fill_(torch.nan)
    with pytest.raises(uv.training.NonFiniteError, match=r"term 'x' .* log p.*Data rows \d+.*no checkpoint"):
        uv.fit(model, data, epochs=1, out=tmp_path / "run", progress=False)
    assert not (tmp_path / "run" / "model.safetensors").exists()


def test_other_data_than_the_model_s_is_refused(model):
    other = uv.data.load(torch.rand(50, 10), test="none")
    with pytest.raises(ValueError, match="expected 10, binary, which the model was made for, got 10, real"):
        uv.fit(model, other, progress=False)


@pytest.mark.parametrize(
    ("argument", "value"),
    [("epochs", 0), ("batch_size", 0), ("lr", -1.0), ("lr", 0.0), ("patience", 0), ("clip", 0.0), ("average", 1.0),
     ("precision", "float8"), ("device", "cuda:99"), ("device", "abacus"), ("seed", -1)],
)  # fmt: skip
def test_a_senseless_setting_is_refused_by_name(model, data, argument, value, tmp_path):
    with pytest.raises(ValueError, match=argument):
        uv.fit(model, data, out=tmp_path / "run", progress=False, **{argument: value})
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("rows", "batch_size", "world"), [(100, 10, 1), (101, 10, 2), (7, 10, 3), (103, 25, 4)])
def test_an_epoch_visits_every_row_once_over_all_processes(rows, batch_size, world):
    split = uv.data.load(torch.rand(rows, 2), validation="none", test="none").train
    feeds = [Feed(split, batch_size, seed=0, rank=rank, world=world) for rank in range(world)]
    generator = torch.Generator()
    for epoch in range(2):
        seen = []
        for step in range(epoch * feeds[0].steps_per_epoch, (epoch + 1) * feeds[0].steps_per_epoch):
            batches = [feed.batch(step, generator) for feed in feeds]
            seen += [row for batch, _ in batches for row in batch.index.tolist()]
            total = sum(len(batch) * factor for batch, factor in batches) / world
            assert total == pytest.approx(1.0)
        assert len(seen) == len(set(seen))
        assert len(seen) > rows - world


@pytest.mark.parametrize(
    ("value", "message"), [(torch.nan, "NaN"), (2.0, "levels from 0 to 1"), (0.5, "whole numbers")]
)
def test_rows_handed_over_as_a_batch_are_checked(value, message):
    x = torch.zeros(20, 3)
    x[7, 1] = value
    model = uv.VAE(uv.Variable((3,), levels=2), latent_dim=2)
    with pytest.raises(ValueError, match=f"x: expected.*{message}"):
        uv.fit(model, uv.Batch(x=x), epochs=1, progress=False)


def test_a_single_step_moves_the_weights():
    x = (torch.rand(30, 4) < 0.5).float()
    model = uv.VAE(uv.Variable((4,), levels=2), latent_dim=2)
    before = [parameter.clone() for parameter in model.posterior.parameters()]
    uv.fit(model, {"train": x}, epochs=1, batch_size=30, progress=False)
    assert not any(map(torch.equal, before, model.posterior.parameters()))


def test_weights_that_are_not_finite_are_not_kept(tmp_path):
    class Breaking(uv.objectives.ELBO):
        def forward(self, trace):
            value = super().forward(trace)
            return value + 0 * (trace["z"].value.sum(-1)[0] * 0).sqrt()  # finite, with a gradient of nan

    x = (torch.rand(30, 4) < 0.5).float()
    model = uv.VAE(uv.Variable((4,), levels=2), latent_dim=2)
    with pytest.raises(FloatingPointError, match="not finite"):
        uv.fit(model, {"train": x}, objective=Breaking(), epochs=1, batch_size=30, out=tmp_path / "run", progress=False)
    assert not (tmp_path / "run" / "model.safetensors").exists()


def test_what_can_not_be_written_down_is_refused_before_it_is_trained(tmp_path):
    x = (torch.rand(30, 4) < 0.5).float()
    prior = lambda *arguments: uv.priors.StandardNormal(*arguments)  # noqa: E731
    model = uv.VAE(uv.Variable((4,), levels=2), latent_dim=2, prior=prior)
    with pytest.raises(TypeError, match="can't write down"):
        uv.fit(model, x, epochs=1, out=tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_the_optimal_sigma_is_settled_on_the_training_set_at_the_end():
    data = uv.data.load(torch.randn(200, 3), test="none")
    run = uv.fit(uv.VAE(data.variable, latent_dim=1), data, epochs=3, progress=False)
    likelihood = run.model.likelihood
    settled = likelihood.variance.clone()
    likelihood.variance.mul_(3)
    calibrate(run.model, run.data.train)
    assert torch.equal(likelihood.variance, settled)


def test_processes_and_steps_draw_different_noise(data):
    def draws(step, rank):
        return torch.rand(3, generator=Feed(data.train, 10, 0, rank, 2).noise(step, torch.device("cpu"))).tolist()

    found = [draws(step, rank) for step in range(3) for rank in range(2)]
    assert len({tuple(one) for one in found}) == 6
    assert draws(2, 1) == found[-1]


def test_data_made_by_hand_is_checked(model, data):
    wrong = Data("mine", data.variable, None, Split(uv.Batch(torch.full((30, 10), 7.0))))
    with pytest.raises(ValueError, match="x: expected levels from 0 to 1, got values from 7 to 7"):
        uv.fit(model, wrong, epochs=1, progress=False)


class Undeclared(uv.Model):
    """A model that does not say what it observes, whose parts are about a variable of their own."""

    def __init__(self, variable):
        super().__init__()
        self.prior = uv.priors.StandardNormal(2)
        self.posterior = uv.posteriors.DiagonalGaussian(variable, 2)
        self.likelihood = uv.likelihoods.Bernoulli(variable, 2)

    def walk(self, visit, batch):
        z = visit("z", p=self.prior, q=lambda: self.posterior(batch["x"]))
        visit("x", p=lambda: self.likelihood(z), value=batch["x"])


def test_parts_about_a_look_alike_of_the_data_are_refused(data):
    with pytest.raises(ValueError, match="x: Bernoulli, DiagonalGaussian may be about this data"):
        uv.fit(Undeclared(uv.Variable((10,), levels=2)), data, epochs=1, progress=False)
    uv.fit(Undeclared(data.variable), data, epochs=1, progress=False)
    with pytest.raises(ValueError, match="may be about this data or about something of its shape"):
        uv.fit(Undeclared(data.variable), data.train.batch(slice(0, 50)), epochs=1, progress=False)


def test_a_declared_model_with_parts_about_a_look_alike_warns(data):
    model = Undeclared(uv.Variable((10,), levels=2))
    model.x = data.variable
    with pytest.warns(UserWarning, match="may be about this data"):
        uv.fit(model, data, epochs=1, progress=False)


class Bare(uv.nets.Net):
    """A net that does not end in a linear map."""

    def __init__(self, in_shape, out_shape, context=0):
        super().__init__(in_shape, out_shape, context)
        self.last = torch.nn.Linear(in_shape[0], out_shape[0])

    def forward(self, x, context=None):
        return self.last(x)


def test_a_net_that_can_not_start_at_the_datas_mean_says_so(data):
    with pytest.raises(NotImplementedError, match=r"net: Bare is asked to start at .*write start_at"):
        uv.fit(uv.VAE(data.variable, latent_dim=2, decoder=Bare), data, epochs=1, progress=False)
