"""Training steps/s of flows on vectors: unveil's and its peers', the same maps, nets, batch and optimizer.

63 dimensions, batch 512, float32: 5 affine autoregressive maps of 256-256; 5 affine and 5 spline couplings of 128-128.
normflows' masked autoregressive map finds a density in D passes, as the others find a sample; its splines are nflows'.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial

import nflows.distributions
import nflows.flows
import nflows.nn.nets
import nflows.transforms
import normflows
import torch
import zuko
from rounds import interleave, report
from torch import Tensor, nn

from unveil import flows, nets

DIMENSIONS, BATCH, MAPS, WIDE, NARROW, BINS, BOUND = 63, 512, 5, (256, 256), (128, 128), 8, 5.0
HALF = [i % 2 for i in range(DIMENSIONS)]

SECONDS = 3.0
"""After so long a round ends, whether or not all its steps were done."""

Loss = Callable[[Tensor], Tensor]


def steps(module: nn.Module, loss: Loss, count: int) -> Callable[[], float]:
    """Optimizer steps per second on one batch."""
    x = torch.randn(BATCH, DIMENSIONS, generator=torch.Generator().manual_seed(0))
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-4, fused=True)

    def run() -> float:
        start, done = time.perf_counter(), 0
        while done < count and time.perf_counter() - start < SECONDS:
            value = loss(x).mean()
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            value.item()
            done += 1
        return done / (time.perf_counter() - start)

    return run


def ours(make: Callable[[], flows.Flow]) -> dict[str, tuple[nn.Module, Loss]]:
    """A flow of this package, and the same with its density compiled."""

    def loss(flow: flows.Flow) -> Loss:
        return lambda x: -flow().log_prob(x)

    eager, compiled = make(), make()
    return {"unveil": (eager, loss(eager)), "unveil, compiled": (compiled, torch.compile(loss(compiled)))}


def zukos(flow: zuko.flows.Flow) -> tuple[nn.Module, Loss]:
    """A flow of zuko."""
    return flow, lambda x: -flow().log_prob(x)


def nflowss(made: Callable[[Tensor], nn.Module]) -> tuple[nn.Module, Loss]:
    """Maps of nflows, made from masks of the halves in turn."""
    masks = [torch.tensor([float(h == i % 2) for h in HALF]) for i in range(MAPS)]
    transform = nflows.transforms.CompositeTransform([made(mask) for mask in masks])
    flow = nflows.flows.Flow(transform, nflows.distributions.StandardNormal([DIMENSIONS]))
    return flow, lambda x: -flow.log_prob(x)


def normflowss(maps: list[nn.Module]) -> tuple[nn.Module, Loss]:
    """Maps of normflows."""
    flow = normflows.NormalizingFlow(normflows.distributions.DiagGaussian(DIMENSIONS, trainable=False), maps)
    return flow, lambda x: -flow.log_prob(x)


class _Plain(nn.Module):
    """nflows hands a context over; its own MLP takes none."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.net = nflows.nn.nets.MLP([inputs], [outputs], list(NARROW))

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        return self.net(x)


def autoregressive() -> dict[str, tuple[nn.Module, Loss]]:
    """5 affine autoregressive maps."""
    return {
        **ours(partial(flows.MAF, (DIMENSIONS,), transforms=MAPS, hidden=WIDE)),
        "zuko": zukos(zuko.flows.MAF(DIMENSIONS, transforms=MAPS, hidden_features=WIDE)),
        "nflows": nflowss(
            lambda _: nflows.transforms.MaskedAffineAutoregressiveTransform(
                DIMENSIONS, WIDE[0], num_blocks=1, use_residual_blocks=False
            )
        ),
        "normflows": normflowss(
            [
                normflows.flows.MaskedAffineAutoregressive(DIMENSIONS, WIDE[0], num_blocks=1, use_residual_blocks=False)
                for _ in range(MAPS)
            ]
        ),
    }


def affine_coupling() -> dict[str, tuple[nn.Module, Loss]]:
    """5 affine couplings."""
    net = partial(nets.MLP, hidden=NARROW)
    return {
        **ours(partial(flows.RealNVP, (DIMENSIONS,), transforms=MAPS, net=net)),
        "zuko": zukos(zuko.flows.RealNVP(DIMENSIONS, transforms=MAPS, hidden_features=NARROW)),
        "nflows": nflowss(partial(nflows.transforms.AffineCouplingTransform, transform_net_create_fn=_Plain)),
        "normflows": normflowss([one for _ in range(MAPS) for one in _swapping_coupling()]),
    }


def _swapping_coupling() -> tuple[nn.Module, nn.Module]:
    """normflows' affine coupling, which always keeps the first half, and the exchange of the halves."""
    kept = (DIMENSIONS + 1) // 2
    net = normflows.nets.MLP([kept, *NARROW, 2 * (DIMENSIONS - kept)], init_zeros=True)
    return normflows.flows.AffineCouplingBlock(net), normflows.flows.Permute(DIMENSIONS, mode="swap")


def spline_coupling() -> dict[str, tuple[nn.Module, Loss]]:
    """5 rational-quadratic spline couplings of 8 bins."""
    keep = [[h == i % 2 for h in HALF] for i in range(MAPS)]
    net = partial(nets.MLP, hidden=NARROW)

    def splines() -> flows.Flow:
        maps = [flows.Coupling((DIMENSIONS,), 0, mask, partial(flows.Spline, BINS, BOUND), net) for mask in keep]
        return flows.Flow(flows.Chain(maps))

    transforms = [
        zuko.flows.GeneralCouplingTransform(
            DIMENSIONS,
            mask=torch.tensor(mask),
            univariate=zuko.transforms.MonotonicRQSTransform,
            shapes=[(BINS,), (BINS,), (BINS - 1,)],
            hidden_features=NARROW,
        )
        for mask in keep
    ]
    base = zuko.flows.UnconditionalDistribution(
        zuko.distributions.DiagNormal, torch.zeros(DIMENSIONS), torch.ones(DIMENSIONS), buffer=True
    )
    spline = partial(
        nflows.transforms.PiecewiseRationalQuadraticCouplingTransform,
        transform_net_create_fn=_Plain,
        num_bins=BINS,
        tails="linear",
        tail_bound=BOUND,
    )
    return {
        **ours(splines),
        "zuko": zukos(zuko.flows.Flow(transforms, base)),
        "nflows": nflowss(spline),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--steps", type=int, default=20)
    options = parser.parse_args()
    for make in (autoregressive, affine_coupling, spline_coupling):
        print(f"\n{make.__doc__}")
        cases = {name: steps(*case, options.steps) for name, case in make().items()}
        report(interleave(cases, options.rounds), "steps/s", subject="unveil")
