"""Models of one latent variable: p(z | c) p(x | z, c), and q(z | x, c).

The evidence lower bound of such a model is E_q[log p(x | z, c)] - KL(q(z | x, c) || p(z | c)).
"""

from __future__ import annotations

from functools import partial

from torch import nn

from unveil.likelihoods import LikelihoodFactory, default_likelihood
from unveil.models.model import Model
from unveil.models.visit import Visit
from unveil.nets import MLP, ConvDecoder, ConvEncoder, NetFactory
from unveil.posteriors import DiagonalGaussian, PosteriorFactory
from unveil.priors import ConditionalGaussian, PriorFactory, StandardNormal
from unveil.variables import Batch, Variable

LARGE = 1024
"""Images of more entries than this get convolutional nets where the user does not say."""


class VAE(Model):
    """A variational autoencoder: a prior, a likelihood and a posterior (Kingma & Welling 2014).

    With a context all three parts may depend on it; :class:`CVAE` chooses a prior that does.

    Args:
        x: What is observed.
        context: What the model is conditioned on, if anything.
        latent_dim: The size d of z.
        prior: Makes p(z | c): a class from ``unveil.priors``, or functools.partial of one.
        likelihood: Makes p(x | z, c); chosen from the kind of data by default.
        posterior: Makes q(z | x, c).
        encoder: Makes the posterior's net; an MLP, or convolutions for large images, by default.
        decoder: Makes the likelihood's net; likewise.

    Example:
        >>> model = VAE(Variable((8,), levels=2), latent_dim=2)
        >>> model.sample(3).shape
        torch.Size([3, 8])
    """

    def __init__(
        self,
        x: Variable,
        context: Variable | None = None,
        latent_dim: int = 16,
        prior: PriorFactory = StandardNormal,
        likelihood: LikelihoodFactory | None = None,
        posterior: PosteriorFactory | None = DiagonalGaussian,
        encoder: NetFactory | None = None,
        decoder: NetFactory | None = None,
    ) -> None:
        super().__init__()
        _require_factories(x, prior=prior, likelihood=likelihood, posterior=posterior, encoder=encoder, decoder=decoder)
        self.x, self.context = x, context
        features = context.features if context else 0
        self.prior = prior(latent_dim, features, x)
        self.likelihood = (likelihood or default_likelihood(x))(x, latent_dim, features, decoder or default_decoder(x))
        self.posterior = posterior(x, latent_dim, features, encoder or default_encoder(x)) if posterior else None

    def walk(self, visit: Visit, batch: Batch) -> None:
        """z, then x."""
        x, c, mask = batch["x"], batch.context, batch.mask_of("x")
        posterior = self.posterior
        q = None if posterior is None else lambda: posterior(x, c, mask)
        z = visit("z", p=lambda: self.prior(context=c, posterior=posterior), q=q)
        visit("x", p=lambda: self.likelihood(z, c), value=x, mask=mask)


class CVAE(VAE):
    """A conditional VAE, p(z | c) p(x | z, c) with q(z | x, c) (Sohn et al. 2015).

    Args:
        x: What is observed.
        context: What it is conditioned on.
        latent_dim: The size d of z.
        prior: Makes p(z | c).
        likelihood: Makes p(x | z, c).
        posterior: Makes q(z | x, c).
        encoder: Makes the posterior's net.
        decoder: Makes the likelihood's net.

    Raises:
        ValueError: If there is no context.
    """

    def __init__(
        self,
        x: Variable,
        context: Variable | None = None,
        latent_dim: int = 16,
        prior: PriorFactory = ConditionalGaussian,
        likelihood: LikelihoodFactory | None = None,
        posterior: PosteriorFactory | None = DiagonalGaussian,
        encoder: NetFactory | None = None,
        decoder: NetFactory | None = None,
    ) -> None:
        _required(context, type(self).__name__)
        super().__init__(x, context, latent_dim, prior, likelihood, posterior, encoder, decoder)


class GSNN(VAE):
    """A Gaussian stochastic neural network: a CVAE without a posterior (Sohn et al. 2015).

    Its z is drawn from the prior net p(z | c), in training too: the bound is E_{p(z|c)}[log p(x | z, c)].

    Args:
        x: What is observed.
        context: What it is conditioned on.
        latent_dim: The size d of z.
        prior: Makes p(z | c).
        likelihood: Makes p(x | z, c).
        decoder: Makes the likelihood's net.

    Raises:
        ValueError: If there is no context.
    """

    def __init__(
        self,
        x: Variable,
        context: Variable | None = None,
        latent_dim: int = 16,
        prior: PriorFactory = ConditionalGaussian,
        likelihood: LikelihoodFactory | None = None,
        decoder: NetFactory | None = None,
    ) -> None:
        _required(context, type(self).__name__)
        super().__init__(x, context, latent_dim, prior, likelihood, None, None, decoder)


def default_encoder(x: Variable) -> NetFactory:
    """Convolutions for images of more than 1,024 entries, two dense layers of 300 otherwise."""
    return partial(ConvEncoder, channels=(32, 64, 64)) if x.is_image and x.features > LARGE else MLP


def default_decoder(x: Variable) -> NetFactory:
    """The mirror image of :func:`default_encoder`."""
    return partial(ConvDecoder, channels=(64, 64, 32)) if x.is_image and x.features > LARGE else MLP


def _require_factories(x: Variable, **factories: object) -> None:
    """Raise a TypeError if x is no Variable, or if a part is handed over in the place of what makes it."""
    if not isinstance(x, Variable):
        raise TypeError(f"x: expected a Variable, which says the shape and the levels (data.variable), got {x!r}")
    for name, factory in factories.items():
        if factory is not None and (isinstance(factory, nn.Module) or not callable(factory)):
            raise TypeError(
                f"{name}: expected a class, or functools.partial of one, which the model calls with its sizes, "
                f"got an object of type {type(factory).__name__}"
            )


def _required(context: Variable | None, model: str) -> None:
    if context is None:
        raise ValueError(
            f"context: a {model} expects something to be conditioned on, got None; give the data a context (--context "
            "label on the command line), or use VAE"
        )
