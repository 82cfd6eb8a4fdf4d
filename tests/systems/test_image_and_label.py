"""Two observed variables, an image and its label, from one z: x is a mapping. One-dimensional z can be integrated."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor

from tests.agreement import assert_mean
from tests.systems.fitting import fit, widen
from unveil.likelihoods import Bernoulli, Categorical
from unveil.models import FromPosterior, FromPrior, Given, Model, Visit
from unveil.nets import MLP
from unveil.objectives import ELBO
from unveil.posteriors import DiagonalGaussian
from unveil.priors import StandardNormal
from unveil.variables import Batch, Variable

IMAGE, LABEL = Variable((1, 2, 3), levels=2), Variable((), levels=3)
LINEAR = partial(MLP, hidden=())
SPREAD = (-5.0, 1.0)


class ImageAndLabel(Model):
    """p(z) p(image | z) p(label | z), inferred from both."""

    def __init__(self, image: Variable, label: Variable) -> None:
        super().__init__()
        self.x, self.labels = {"image": image, "label": label}, label.levels
        self.prior = StandardNormal(1)
        self.image, self.label = Bernoulli(image, 1, decoder=LINEAR), Categorical(label, 1, decoder=LINEAR)
        self.posterior = DiagonalGaussian(image, 1, context=label.levels, encoder=LINEAR, log_variance=SPREAD)

    def infer(self, x: Batch) -> torch.distributions.Distribution:
        label = torch.nn.functional.one_hot(x["label"], self.labels).to(x["image"].dtype)
        return self.posterior(x["image"], label)

    def walk(self, visit: Visit, batch: Batch) -> None:
        z = visit("z", p=self.prior, q=lambda: self.infer(batch))
        visit("image", p=lambda: self.image(z), value=batch["image"], mask=batch.mask_of("image"))
        visit("label", p=lambda: self.label(z), value=batch["label"])


@pytest.fixture
def x() -> dict[str, Tensor]:
    """Images that get brighter with the label."""
    label = torch.randint(3, (300,))
    brightness = torch.tensor([0.1, 0.5, 0.9])[label].reshape(-1, 1, 1, 1)
    return {"image": (torch.rand(300, 1, 2, 3) < brightness).double(), "label": label}


@pytest.fixture
def model(x, generator) -> ImageAndLabel:
    model = ImageAndLabel(IMAGE, LABEL)
    model.initialize(Batch(x), generator)
    return model


def log_evidence(model: ImageAndLabel, x: dict[str, Tensor]) -> Tensor:
    """log p(image, label), by the trapezoid rule over z."""
    z = torch.linspace(-9, 9, 1001).reshape(-1, 1, 1)
    log_joint = model.prior().log_prob(z) + model.image(z).log_prob(x["image"])
    if "label" in x:
        log_joint = log_joint + model.label(z).log_prob(x["label"])
    return log_joint.logsumexp(0) + (z[1] - z[0]).log().squeeze()


def rows(x: dict[str, Tensor], count: int) -> dict[str, Tensor]:
    return {name: value[:count] for name, value in x.items()}


def test_each_observed_variable_is_a_term_and_the_distortion_is_their_sum(model, x, generator):
    trace = model.trace(x, FromPosterior(4, generator))
    assert [term.name for term in trace.observed] == ["image", "label"]
    assert torch.allclose(trace.distortion, -trace["image"].log_p - trace["label"].log_p)
    assert torch.allclose(
        trace["label"].log_p,
        model.label(trace["z"].value).logits.gather(-1, x["label"].expand(4, -1)[..., None])[..., 0],
    )


def test_parts_start_at_the_data_of_their_own_variable(model, x):
    assert torch.allclose(model.image.net.output.bias.sigmoid().reshape(1, 2, 3), x["image"].mean(0), atol=0.01)
    assert torch.allclose(model.label.net.output.bias.softmax(0), x["label"].bincount() / 300, atol=0.01)


def test_fitted_bound_is_close_below_the_integrated_evidence(model, x, generator):
    before = log_evidence(model, x).mean()
    fit(model, Batch(x), generator, steps=400, lr=0.05)
    bound, exact = ELBO()(model.trace(x, FromPosterior(100, generator))).mean(), log_evidence(model, x).mean()
    assert before + 0.5 < bound
    assert exact - 0.1 < bound < exact


def test_weights_average_to_the_integrated_evidence(model, x, generator):
    fit(model, Batch(x), generator, steps=100, lr=0.05)
    widen(model.posterior)
    x = rows(x, 20)
    trace = model.trace(x, FromPosterior(10_000, generator))
    assert_mean((trace.log_w - log_evidence(model, x)).exp(), 1.0)


def test_samples_are_a_mapping_with_the_joint_frequencies(model, generator):
    with torch.no_grad():
        model.image.net.output.weight.fill_(1.5)
        model.label.net.output.weight.copy_(torch.tensor([[-2.0], [0.0], [2.0]]))
    samples = model.sample(20_000, generator=generator)
    assert {name: tuple(value.shape) for name, value in samples.items()} == {
        "image": (20_000, 1, 2, 3),
        "label": (20_000,),
    }
    bright = {"image": torch.ones(3, 1, 2, 3), "label": torch.arange(3)}
    all_on = (samples["image"] == 1).flatten(1).all(1)
    drawn = torch.nn.functional.one_hot(samples["label"], 3) * all_on.unsqueeze(1)
    assert_mean(drawn.double(), log_evidence(model, bright).exp())


def test_label_is_predicted_where_only_the_image_is_given(model, x, generator):
    # z from its prior, weighted by the image: p(label | image) = p(image, label) / p(image)
    fit(model, Batch(x), generator, steps=200, lr=0.05)
    image = x["image"][:5]
    z = torch.linspace(-9, 9, 1001).reshape(-1, 1, 1)
    trace = model.trace({"image": image}, Given({"z": z.expand(1001, 5, 1)}))
    assert trace["label"].data
    assert not trace["label"].observed
    weight = (trace["z"].log_p + trace["image"].log_p).softmax(0)
    found = (weight[..., None] * trace["label"].p.probs).sum(0)
    both = [log_evidence(model, {"image": image, "label": torch.full((5,), label)}) for label in range(3)]
    expected = (torch.stack(both, -1) - log_evidence(model, {"image": image})[:, None]).exp()
    assert torch.allclose(found, expected)


def test_decoding_gives_both_distributions(model, x):
    z = model.encode(x)
    decoded = model.decode(z)
    assert set(decoded) == {"image", "label"}
    assert torch.allclose(decoded["label"].probs, model.label(z).probs)
    assert set(model.reconstruct(x)) == {"image", "label"}
    by_hand = model.prior().log_prob(z) + model.image(z).log_prob(x["image"]) + model.label(z).log_prob(x["label"])
    assert torch.allclose(model.log_joint(x, z), by_hand)


def test_a_variable_without_data_is_generated_and_no_latent(model, x, generator):
    z = model.trace(x, FromPosterior(2, generator))["z"].value
    trace = model.trace({"image": x["image"]}, Given({"z": z}, FromPrior(2, generator)))
    assert [term.name for term in trace.latents] == ["z"]
    assert [term.name for term in trace.generated] == ["label"]
    assert set(trace.values) == {"z", "label"}


def test_a_joint_density_needs_every_variable_and_values_that_there_are(model, x):
    z = model.encode(x)
    with pytest.raises(ValueError, match="expected a value for every variable, got none for label"):
        model.log_joint({"image": x["image"]}, z)
    with pytest.raises(ValueError, match="image: expected levels from 0 to 1, got values from 0 to 7"):
        model.log_joint({**x, "image": 7 * x["image"]}, z)
    with pytest.raises(ValueError, match=r"label: expected whole numbers, .*got 1\.3"):
        model.log_joint({**x, "label": torch.full((300,), 1.3)}, z)


def test_each_variable_may_have_entries_missing(model, x):
    z = model.encode(x)
    mask = torch.rand(300, 1, 2, 3) < 0.5
    found = model.decode(z)
    trace = model.trace(
        Batch({**x, "image": torch.where(mask, x["image"], 9)}, mask={"image": mask}), Given({"z": z[None]})
    )
    expected = (found["image"].log_prob_per_dim(x["image"]) * mask).flatten(1).sum(1)
    assert torch.allclose(trace["image"].log_p[0], expected)
    assert torch.allclose(trace["label"].log_p[0], found["label"].log_prob(x["label"]))
