"""The same VAE three times: 784-512-16 with a Bernoulli likelihood, bare, in pythae, and in unveil."""

from __future__ import annotations

import contextlib
import io
import logging
import math
import tempfile
import time
from collections.abc import Iterator
from functools import partial

import torch
import torch.nn.functional as F
from pythae import models as pythae_models
from pythae.data.datasets import BaseDataset
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from pythae.trainers.training_callbacks import TrainingCallback
from torch import Tensor, nn

import unveil as uv

PIXELS, HIDDEN, LATENT, BATCH, LR = 784, 512, 16, 100, 1e-3


def binary_images(n: int) -> Tensor:
    """Random binary images, (n, 1, 28, 28)."""
    return (torch.rand(n, 1, 28, 28, generator=torch.Generator().manual_seed(0)) < 0.3).float()


def nets() -> tuple[nn.Module, nn.Module]:
    """An encoder to (mean, log-variance) and a decoder to logits."""
    encoder = nn.Sequential(nn.Linear(PIXELS, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 2 * LATENT))
    return encoder, nn.Sequential(nn.Linear(LATENT, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, PIXELS))


def unveil_model() -> uv.VAE:
    """The VAE in unveil."""
    net = partial(uv.nets.MLP, hidden=(HIDDEN,))
    return uv.VAE(uv.Variable((1, 28, 28), levels=2), latent_dim=LATENT, encoder=net, decoder=net)


class _Encoder(BaseEncoder):
    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> ModelOutput:
        mean, log_variance = self.net(x).chunk(2, dim=-1)
        return ModelOutput(embedding=mean, log_covariance=log_variance)


class _Decoder(BaseDecoder):
    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, z: Tensor) -> ModelOutput:
        return ModelOutput(reconstruction=torch.sigmoid(self.net(z)))  # its "bce" loss takes probabilities


def pythae_model() -> pythae_models.VAE:
    """The VAE in pythae."""
    encoder, decoder = nets()
    config = pythae_models.VAEConfig(input_dim=(PIXELS,), latent_dim=LATENT, reconstruction_loss="bce")
    return pythae_models.VAE(config, encoder=_Encoder(encoder), decoder=_Decoder(decoder))


def train_bare(x: Tensor, epochs: int) -> float:
    """Images per second of a plain loop over one tensor, the first epoch not counted."""
    x = x.flatten(1)
    encoder, decoder = nets()
    parameters = [*encoder.parameters(), *decoder.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=LR, fused=True)
    for epoch in range(epochs + 1):
        if epoch == 1:
            start = time.perf_counter()
        for rows in torch.randperm(len(x)).split(BATCH):
            batch = x[rows]
            mean, log_variance = encoder(batch).chunk(2, dim=-1)
            z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
            distortion = F.binary_cross_entropy_with_logits(decoder(z), batch, reduction="sum")
            rate = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum()
            loss = (distortion + rate) / len(batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()
    return epochs * len(x) / (time.perf_counter() - start)


def train_unveil(x: Tensor, epochs: int) -> float:
    """Images per second of ``uv.fit``, the first epoch not counted."""
    data = uv.data.load({"train": x}, validation="none", test="none")
    run = uv.fit(unveil_model(), data, epochs=epochs + 1, batch_size=BATCH, lr=LR, progress=False)
    return epochs * len(x) / (run.metrics[-1]["seconds"] - run.metrics[0]["seconds"])


class _EpochTimer(TrainingCallback):
    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_epoch_begin(self, training_config: object, **kwargs: object) -> None:
        self.start = time.perf_counter()

    def on_epoch_end(self, training_config: object, **kwargs: object) -> None:
        self.seconds.append(time.perf_counter() - self.start)


def train_pythae(x: Tensor, epochs: int, *, validated: bool = False) -> float:
    """Images per second of pythae's trainer, its set-up and the first epoch not counted.

    Args:
        x: The images.
        epochs: Epochs that count.
        validated: Whether its trainer gets a validation set of a tenth of the images, as its users give it.
    """
    held = len(x) // 10
    dataset, timer = BaseDataset(x.flatten(1), torch.ones(len(x))), _EpochTimer()
    evaluation = BaseDataset(x[:held].flatten(1), torch.ones(held)) if validated else None
    with tempfile.TemporaryDirectory() as folder, _quiet():
        config = BaseTrainerConfig(
            output_dir=folder, num_epochs=epochs + 1, per_device_train_batch_size=BATCH,
            per_device_eval_batch_size=BATCH, learning_rate=LR, no_cuda=True,
        )  # fmt: skip
        BaseTrainer(pythae_model(), dataset, evaluation, training_config=config, callbacks=[timer]).train()
    return epochs * len(x) / sum(timer.seconds[1:])


@torch.inference_mode()
def likelihood_bare(x: Tensor, particles: int, images: int = 2) -> float:
    """Images per second of a plain importance-sampling loop, chunked so that it fits the cache."""
    (encoder, decoder), x = nets(), x.flatten(1)
    start = time.perf_counter()
    means, log_variances = encoder(x).chunk(2, dim=-1)
    for rows in torch.arange(len(x)).split(images):
        batch, mean, log_variance = x[rows], means[rows, None], log_variances[rows, None]
        noise = torch.randn(len(batch), particles, LATENT)
        z = mean + torch.exp(0.5 * log_variance) * noise
        log_ratio = 0.5 * (noise.square() - z.square() + log_variance).sum(-1)
        logits = decoder(z)
        log_p = (logits @ batch[:, :, None]).squeeze(-1) - F.softplus(logits).sum(-1)
        torch.logsumexp(log_p + log_ratio, dim=1).sub(math.log(particles)).mean().item()
    return len(x) / (time.perf_counter() - start)


def likelihood_unveil(x: Tensor, particles: int) -> float:
    """Images per second of ``uv.evaluate``, by importance sampling alone."""
    model = unveil_model().eval()
    start = time.perf_counter()
    uv.evaluate(model, x, particles=particles, naive=False, split_rate=False)
    return len(x) / (time.perf_counter() - start)


@torch.no_grad()
def likelihood_pythae(x: Tensor, particles: int) -> float:
    """Images per second of pythae's ``get_nll`` with its default batch of 100 particles."""
    model = pythae_model().eval()
    start = time.perf_counter()
    model.get_nll(x.flatten(1), n_samples=particles, batch_size=100)
    return len(x) / (time.perf_counter() - start)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    logging.disable(logging.INFO)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(logging.NOTSET)
