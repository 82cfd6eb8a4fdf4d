"""Densities on the plane by four flows, drawn: `python examples/toy_densities.py docs/pictures/toy_densities.png`."""

from __future__ import annotations

import sys
from functools import partial

import matplotlib.pyplot as plt
import torch
from sklearn.datasets import make_moons
from torch import Tensor

import unveil as uv

SMALL = partial(uv.nets.MLP, hidden=(64, 64))
FLOWS = {
    "NICE": partial(uv.NICE, transforms=8, net=SMALL),
    "RealNVP": partial(uv.RealNVP, transforms=8, net=SMALL),
    "MAF": partial(uv.MAF, transforms=8, hidden=(64, 64)),
    "NSF": partial(uv.NSF, transforms=6, net=SMALL),
}


def moons(n: int) -> Tensor:
    """Two half circles."""
    return torch.tensor(make_moons(n, noise=0.06, random_state=0)[0], dtype=torch.float32)


def spiral(n: int) -> Tensor:
    """Two arms."""
    t = 3 * torch.pi * torch.rand(n, 1).sqrt()
    arm = torch.cat([t.cos(), t.sin()], 1) * t / 6 * (1 - 2 * torch.randint(2, (n, 1)))
    return arm + 0.06 * torch.randn(n, 2)


def rings(n: int) -> Tensor:
    """Three circles."""
    angle, radius = 2 * torch.pi * torch.rand(n, 1), 0.5 * torch.randint(1, 4, (n, 1))
    return radius * torch.cat([angle.cos(), angle.sin()], 1) + 0.05 * torch.randn(n, 2)


def density(model: uv.Model, side: int = 200, reach: float = 2.4) -> Tensor:
    """p(x) on a grid."""
    axis = torch.linspace(-reach, reach, side)
    with torch.no_grad():
        return model.log_prob(torch.cartesian_prod(axis, axis)).exp().reshape(side, side)


if __name__ == "__main__":
    torch.manual_seed(0)
    shapes = {"moons": moons(20_000) - torch.tensor([0.5, 0.25]), "spiral": spiral(20_000), "rings": rings(20_000)}
    figure, axes = plt.subplots(len(shapes), 1 + len(FLOWS), figsize=(11, 7), layout="constrained")
    for row, (shape, x) in zip(axes, shapes.items(), strict=True):
        row[0].hist2d(x[:, 0], x[:, 1], bins=120, range=[[-2.4, 2.4]] * 2, cmap="magma")
        row[0].set_title(f"{shape}: data", fontsize=9)
        data = uv.data.load(x)
        for axis, (name, make) in zip(row[1:], FLOWS.items(), strict=True):
            model = uv.fit(make(data.variable), data, epochs=100, batch_size=256, lr=3e-3, progress=False).model
            found = uv.evaluate(model, data.test, particles=1, progress=False).log_likelihood
            axis.imshow(density(model).T, origin="lower", cmap="magma")
            axis.set_title(f"{name}: {found.value:.3f} ± {found.standard_error:.3f} nats", fontsize=9)
            print(f"{shape:8} {name:8} {found}", flush=True)
    for axis in axes.flat:
        axis.set_axis_off()
    figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "toy_densities.png", dpi=110)
