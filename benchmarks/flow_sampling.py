"""Draws/s of a masked autoregressive flow that was fitted to MNIST: unveil's two solvers and zuko's.

5 affine maps of 512-512, 64 draws at once, at 8x8 (pooled) and 28x28 pixels. zuko's inverse takes D passes whatever the
weights are, so that its flow need not be fitted. What ours draws is mapped back: the largest relative error is printed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import torch
import zuko
from rounds import interleave, report
from torch import Tensor

import unveil as uv
from unveil.flows import MaskedAutoregressive

DRAWS, MAPS, HIDDEN = 64, 5, (512, 512)
SOLVERS, TOLERANCE = ("auto", "parallel", "sequential"), 1e-4


def images(source: str, side: int) -> Tensor:
    """Grey MNIST, (N, 1, side, side): 28, or 8 by averaging 4 x 4 pixels of a padded image."""
    x = uv.data.load(source, test="none", validation="none").train.rows(slice(None)).x
    if side == 8:
        x = torch.nn.functional.avg_pool2d(torch.nn.functional.pad(x, (2, 2, 2, 2)), 4).round()
    return x


def fitted(source: str, side: int, epochs: int, folder: Path) -> uv.MAF:
    """A flow fitted for a few epochs; from the folder where it was before."""
    out = folder / f"maf-{side}"
    if (out / "model.safetensors").is_file():
        return uv.load(out)
    data = uv.data.load(images(source, side), test="none", validation="none")
    torch.manual_seed(0)
    model = uv.MAF(data.variable, transforms=MAPS, hidden=HIDDEN)
    objective = uv.objectives.ELBO()
    return uv.fit(model, data, objective=objective, epochs=epochs, precision="bfloat16", out=out, overwrite=True).model


@torch.no_grad()
def ours(model: uv.MAF, solver: str) -> Callable[[], float]:
    """Draws per second, by one solver."""

    def run() -> float:
        solve_by(model, solver)
        start = time.perf_counter()
        model.flow().sample((DRAWS,))
        return DRAWS / (time.perf_counter() - start)

    return run


@torch.no_grad()
def zukos(features: int) -> Callable[[], float]:
    """Draws per second of the same flow in zuko."""
    flow = zuko.flows.MAF(features, transforms=MAPS, hidden_features=HIDDEN)

    def run() -> float:
        start = time.perf_counter()
        with torch.no_grad():
            flow().sample((DRAWS,))
        return DRAWS / (time.perf_counter() - start)

    return run


def solve_by(model: uv.MAF, solver: str) -> None:
    """Choose how every map is inverted."""
    for module in model.modules():
        if isinstance(module, MaskedAutoregressive):
            module.solver = solver


@torch.no_grad()
def largest_error(model: uv.MAF, solver: str) -> float:
    """max |f(f^-1(z)) - z| / (1 + |z|) over draws of z."""
    solve_by(model, solver)
    bijection = model.flow.bijection
    z = torch.randn(DRAWS, *bijection.out_shape, generator=torch.Generator().manual_seed(0))
    back, _ = bijection(bijection.inverse(z)[0])
    return ((back - z).abs() / (1 + z.abs())).max().item()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="MNIST: a folder in the hub's layout, or ylecun/mnist")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("runs/flow-sampling"))
    options = parser.parse_args()
    for side, rounds in ((8, options.rounds), (28, max(options.rounds // 3, 1))):
        model = fitted(options.data, side, options.epochs, options.out)
        print(f"\n{side}x{side} pixels, {side**2} dimensions")
        cases = {f"unveil, {solver}": ours(model, solver) for solver in SOLVERS}
        report(interleave({**cases, "zuko": zukos(side**2)}, rounds), "draws/s", subject="unveil, auto")
        for solver in SOLVERS:
            error = largest_error(model, solver)
            print(f"largest relative error of a round trip, {solver}: {error:.1e}")
            if error > TOLERANCE:
                raise SystemExit(f"expected at most {TOLERANCE:g}")
