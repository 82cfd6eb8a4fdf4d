"""Tiny models and data of each kind that pictures are drawn of. None is fitted: a picture must not need that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from unveil.data import Data, Split
from unveil.distributions import Bernoulli, Categorical, Coded, Mixture, MultivariateNormal, Normal, OneHotCategorical
from unveil.likelihoods import Bernoulli as BernoulliGiven
from unveil.likelihoods import Categorical as CategoricalGiven
from unveil.likelihoods import FixedGaussian
from unveil.models import (
    CVAE,
    GSNN,
    VAE,
    BayesianLinearRegression,
    BernoulliMixture,
    CategoricalHMM,
    CategoricalMixture,
    DirichletProcessMixture,
    FactorAnalysis,
    GaussianHMM,
    GaussianMixture,
    LatentDirichletAllocation,
    Model,
    ProbabilisticPCA,
    Visit,
)
from unveil.nets import MLP
from unveil.posteriors import DiagonalGaussian, FullGaussian
from unveil.priors import MixtureOfGaussians, StandardNormal, VampPrior
from unveil.variables import Batch, Variable

TINY = partial(MLP, hidden=(4,), tanh=True)
IMAGE, COLOUR, TABLE = Variable((1, 4, 5), levels=2), Variable((3, 6, 4), levels=256), Variable((3,))
COUNTS, REAL_IMAGE, CLASSES = Variable((5,), levels=12), Variable((2, 4, 4)), Variable((3,), levels=2)
SEQUENCE = Variable((9, 2))
ROWS = 12
SHOWN, TABLES, CODES, RATES = "images", ("marginals", "pairs"), "latents", "rates"


class TwoLevels(Model):
    """p(z2) p(z1 | z2) p(x | z1), with z1 proposed bottom-up."""

    latents = ("z2", "z1")

    def __init__(self, x: Variable = IMAGE) -> None:
        super().__init__()
        self.x = x
        self.prior, self.p1 = StandardNormal(1), FixedGaussian(Variable((4,)), 1, decoder=TINY)
        self.likelihood = BernoulliGiven(x, 4, decoder=TINY)
        self.q1 = DiagonalGaussian(x, 4, encoder=TINY)
        self.q2 = DiagonalGaussian(Variable((4,)), 1, encoder=TINY)

    def walk(self, visit: Visit, batch: Batch) -> None:
        z1 = visit.propose("z1", lambda: self.q1(batch["x"]))
        z2 = visit("z2", p=self.prior, q=lambda: self.q2(z1))
        z1 = visit("z1", p=lambda: self.p1(z2))
        visit("x", p=lambda: self.likelihood(z1), value=batch["x"])


class Discrete(Model):
    """A code of a codebook, a one-hot variable and an integer."""

    latents = ("code", "one_hot", "integer")

    def __init__(self, x: Variable = IMAGE) -> None:
        super().__init__()
        self.x, self.encoder = x, TINY(x.shape, (3, 6))
        self.codebook = nn.Parameter(torch.randn(6, 2))
        self.likelihood = BernoulliGiven(x, 9, decoder=TINY)

    def walk(self, visit: Visit, batch: Batch) -> None:
        def logits(place: int) -> Tensor:
            return self.encoder(batch["x"])[:, place]

        uniform = torch.zeros(6)
        code = visit(
            "code",
            p=lambda: Coded(Categorical(uniform), self.codebook),
            q=lambda: Coded(Categorical(logits(0)), self.codebook),
        )
        one_hot = visit("one_hot", p=lambda: OneHotCategorical(uniform), q=lambda: OneHotCategorical(logits(1)))
        integer = visit("integer", p=lambda: Categorical(uniform), q=lambda: Categorical(logits(2)))
        z = torch.cat([code, one_hot, integer.unsqueeze(-1).to(code)], -1)
        visit("x", p=lambda: self.likelihood(z), value=batch["x"])


class Chain(Model):
    """A diffusion of many levels: x itself is what lies below them."""

    def __init__(self, x: Variable = TABLE, levels: int = 9) -> None:
        super().__init__()
        self.x, self.levels = x, levels
        self.slope = nn.Parameter(torch.full((1,), 0.9))

    def walk(self, visit: Visit, batch: Batch) -> None:
        x, noise = batch["x"], torch.ones(self.x.shape)
        z = visit("z9", p=lambda: Normal(0 * noise, noise), q=lambda: Normal(0.3 * x, noise))
        for t in range(self.levels - 1, 0, -1):
            z = visit(f"z{t}", p=lambda z=z: Normal(self.slope * z, noise), q=lambda t=t: Normal(x / t, noise))
        visit("x", p=lambda: Normal(self.slope * z, noise), value=x)


class Exact(Model):
    """No latent variable at all."""

    def __init__(self, x: Variable = IMAGE) -> None:
        super().__init__()
        self.x = x
        self.logits = nn.Parameter(torch.zeros(x.shape))

    def walk(self, visit: Visit, batch: Batch) -> None:
        visit("x", p=lambda: Bernoulli(self.logits, len(self.x.shape)), value=batch["x"])


class Enumerated(Model):
    """A mixture without a posterior, which does not say what it observes."""

    def __init__(self) -> None:
        super().__init__()
        self.loc = nn.Parameter(torch.randn(4, 3))

    def walk(self, visit: Visit, batch: Batch) -> None:
        z = visit("z", p=lambda: Categorical(torch.zeros(4)))
        visit("x", p=lambda: Normal(self.loc[z], torch.ones(3)), value=batch["x"])


class ImageAndLabel(Model):
    """Two observed variables."""

    def __init__(self) -> None:
        super().__init__()
        label = Variable((), levels=3)
        self.x = {"image": IMAGE, "label": label}
        self.prior, self.posterior = StandardNormal(2), DiagonalGaussian(IMAGE, 2, encoder=TINY)
        self.image, self.label = BernoulliGiven(IMAGE, 2, decoder=TINY), CategoricalGiven(label, 2, decoder=TINY)

    def walk(self, visit: Visit, batch: Batch) -> None:
        z = visit("z", p=self.prior, q=lambda: self.posterior(batch["image"]))
        visit("image", p=lambda: self.image(z), value=batch["image"])
        visit("label", p=lambda: self.label(z), value=batch["label"])


class LogDensity(Model):
    """A user's log density, with nothing observed."""

    latents = ("theta",)

    def __init__(self) -> None:
        super().__init__()
        self.loc = nn.Parameter(torch.zeros(2))

    def walk(self, visit: Visit, batch: Batch) -> None:
        theta = visit("theta", q=lambda: MultivariateNormal(self.loc, torch.eye(2)))
        visit.factor("log_density", lambda: -theta.square().sum(-1))


class ModelessQ(Model):
    """A posterior that has no mode, and data whose distribution has no mean."""

    def __init__(self, x: Variable = REAL_IMAGE) -> None:
        super().__init__()
        self.x = x
        self.likelihood = FixedGaussian(x, 2, decoder=TINY)

    def walk(self, visit: Visit, batch: Batch) -> None:
        pair = torch.tensor([[-1.0, 0.0], [1.0, 0.0]])
        z = visit("z", p=StandardNormal(2), q=lambda: Mixture(torch.zeros(2), Normal(pair, torch.ones(2, 2))))
        visit("x", p=lambda: Meanless(self.likelihood(z)), value=batch["x"])


class Meanless(Normal):
    """A distribution that can be drawn from and scored, and knows no mean."""

    def __init__(self, base: Normal) -> None:
        super().__init__(base.loc, base.scale, len(base.event_shape))

    @property
    def mean(self) -> Tensor:
        raise NotImplementedError


@dataclass(frozen=True)
class Kind:
    """A kind of model and data, and the pictures that make sense for it beside the training curve."""

    model: Callable[[], Model]
    data: Callable[[], Data]
    pictures: tuple[str, ...]


def rows_of(variable: Variable) -> Tensor:
    """Random rows: uint8 levels, or real numbers."""
    if variable.levels is None:
        return torch.randn(ROWS, *variable.shape)
    return torch.randint(variable.levels, (ROWS, *variable.shape), dtype=torch.uint8)


def data_of(variable: Variable, context: Variable | None = None, *, mask: bool = False) -> Data:
    """A data set of one variable; the context is one-hot where it has levels."""
    given = None
    if context is not None:
        classes = torch.arange(ROWS) % context.features
        given = torch.eye(context.features)[classes] if context.levels else torch.randn(ROWS, context.features)
    x = rows_of(variable)
    split = Split(Batch(x=x, context=given, mask=torch.rand(x.shape) < 0.8 if mask else None))
    return Data("rows", variable, context, split, test=split)


def data_of_batch(batch: Batch) -> Data:
    """A data set that was not loaded."""
    return Data("given", TABLE, None, Split(batch))


def vae(x: Variable, context: Variable | None = None, **parts: object) -> Callable[[], Model]:
    """A VAE of tiny nets."""
    return partial(VAE, x, context, **{"latent_dim": 4, "encoder": TINY, "decoder": TINY, **parts})


def image_and_label() -> Batch:
    """Images with a label each."""
    return Batch(x={"image": rows_of(IMAGE), "label": torch.arange(ROWS) % 3})


IMAGES, ALL = (SHOWN, CODES, RATES), (*TABLES, CODES, RATES)
KINDS: dict[str, Kind] = {
    "binary images": Kind(vae(IMAGE), partial(data_of, IMAGE), IMAGES),
    "binary images with missing pixels": Kind(vae(IMAGE), partial(data_of, IMAGE, mask=True), IMAGES),
    "colour images": Kind(vae(COLOUR), partial(data_of, COLOUR), IMAGES),
    "real images of two channels": Kind(vae(REAL_IMAGE), partial(data_of, REAL_IMAGE), IMAGES),
    "a table": Kind(vae(TABLE), partial(data_of, TABLE), ALL),
    "a table of counts": Kind(vae(COUNTS, latent_dim=1), partial(data_of, COUNTS), ALL),
    "a binary table": Kind(
        vae(Variable((20,), 2)), partial(data_of, Variable((20,), 2)), ("marginals", CODES, RATES)
    ),
    "one number": Kind(vae(Variable((1,))), partial(data_of, Variable((1,))), ("marginals", CODES, RATES)),
    "two latent dimensions": Kind(vae(TABLE, latent_dim=2), partial(data_of, TABLE), ALL),
    "a Vamp prior": Kind(
        vae(IMAGE, prior=partial(VampPrior, components=3)), partial(data_of, IMAGE), IMAGES
    ),
    "a mixture prior, full covariance": Kind(
        vae(TABLE, prior=partial(MixtureOfGaussians, components=3), posterior=FullGaussian),
        partial(data_of, TABLE),
        ALL,
    ),
    "a CVAE given classes": Kind(
        partial(CVAE, IMAGE, CLASSES, 2, encoder=TINY, decoder=TINY), partial(data_of, IMAGE, CLASSES), IMAGES
    ),
    "a CVAE given a number": Kind(
        partial(CVAE, TABLE, Variable((1,)), 2, encoder=TINY, decoder=TINY),
        partial(data_of, TABLE, Variable((1,))),
        ALL,
    ),
    "a CVAE given vectors": Kind(
        partial(CVAE, IMAGE, TABLE, 1, encoder=TINY, decoder=TINY), partial(data_of, IMAGE, TABLE), IMAGES
    ),
    "a GSNN": Kind(partial(GSNN, IMAGE, CLASSES, 2, decoder=TINY), partial(data_of, IMAGE, CLASSES), (SHOWN,)),
    "two levels": Kind(TwoLevels, partial(data_of, IMAGE), IMAGES),
    "discrete latents": Kind(Discrete, partial(data_of, IMAGE), IMAGES),
    "a long chain": Kind(Chain, partial(data_of, TABLE), (*TABLES, RATES)),
    "a diffusion as prior": Kind(
        vae(TABLE, latent_dim=2, prior=lambda *_: Chain(Variable((2,)))), partial(data_of, TABLE), ALL
    ),
    "an exact density": Kind(Exact, partial(data_of, IMAGE), (SHOWN,)),
    "a mixture without a posterior": Kind(Enumerated, partial(data_of, TABLE), TABLES),
    "image and label": Kind(
        ImageAndLabel, lambda: data_of_batch(image_and_label()), (SHOWN, "marginals", CODES, RATES)
    ),
    "a log density": Kind(LogDensity, lambda: data_of_batch(Batch(size=ROWS)), (CODES, RATES)),
    "a Gaussian mixture": Kind(
        partial(GaussianMixture, TABLE, components=2), partial(data_of, TABLE, mask=True), ("components", *ALL)
    ),
    "a mixture over one number": Kind(
        partial(DirichletProcessMixture, Variable((1,)), components=3),
        partial(data_of, Variable((1,))),
        ("components", "marginals", CODES, RATES),
    ),
    "latent classes": Kind(
        partial(BernoulliMixture, Variable((20,), 2), components=2),
        partial(data_of, Variable((20,), 2), mask=True),
        ("components", "marginals", CODES, RATES),
    ),
    "a mixture of answers": Kind(
        partial(CategoricalMixture, COUNTS, components=2), partial(data_of, COUNTS), ("components", *ALL)
    ),
    "sequences": Kind(
        partial(GaussianHMM, SEQUENCE, states=3), partial(data_of, SEQUENCE, mask=True), ("chain", RATES)
    ),
    "symbols": Kind(
        partial(CategoricalHMM, Variable((9,), 4), states=2),
        partial(data_of, Variable((9,), 4)),
        ("chain", RATES),
    ),
    "factor analysis": Kind(
        partial(FactorAnalysis, TABLE, latent_dim=2), partial(data_of, TABLE, mask=True), ("loadings", *ALL)
    ),
    "principal components of images": Kind(
        partial(ProbabilisticPCA, REAL_IMAGE), partial(data_of, REAL_IMAGE), ("loadings", *IMAGES)
    ),
    "topics": Kind(
        partial(LatentDirichletAllocation, COUNTS, topics=3), partial(data_of, COUNTS), ("topics", *ALL)
    ),
    "a regression": Kind(
        partial(BayesianLinearRegression, Variable((1,)), TABLE),
        partial(data_of, Variable((1,)), TABLE),
        ("weights", "marginals"),
    ),
    "no mode, no mean": Kind(ModelessQ, partial(data_of, REAL_IMAGE), IMAGES),
}  # fmt: skip
