"""The named flows: which maps, in which order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain
from math import prod
from typing import TYPE_CHECKING

import torch

from unveil.flows.autoregressive import MaskedAutoregressive, MonotoneFactory, Solver
from unveil.flows.base import Bijection, Chain, Inverse
from unveil.flows.coupling import Coupling
from unveil.flows.flow import Flow
from unveil.flows.linear import Linear, Permutation
from unveil.flows.monotone import Affine, Shift
from unveil.flows.multiscale import Branch
from unveil.flows.normalize import ActNorm, BatchNorm
from unveil.flows.shapes import Reshape, Squeeze
from unveil.flows.spline import Spline
from unveil.nets import MLP, ConvNet, MaskedMLP, NetFactory, Shape

if TYPE_CHECKING:
    from unveil.priors import PriorFactory


GENTLE = partial(Affine, bound=1.0)
"""Scales from 1/e to e, as far as a map of dozens in a chain should go (the papers' tanh and sigmoid do as much)."""


class MAF(Flow):
    """A masked autoregressive flow: MADE on MADE, each in the other's reversed order (Papamakarios et al. 2017).

    A density takes one pass through each net, a sample up to D.

    Args:
        shape: The shape of x, which is flattened.
        context: The number of features of c, 0 without one.
        transforms: The number of maps.
        hidden: The widths of each net.
        monotone: Makes the map of one entry; with ``Spline`` this is the autoregressive neural spline flow.
        batch_norm: Whether each map is followed by batch normalisation, as in the paper.
        base: Makes p_Z, a class of ``unveil.priors``; N(0, I) by default.
        solver: How a sample is found, as :class:`MaskedAutoregressive` says.
    """

    def __init__(
        self,
        shape: Shape,
        context: int = 0,
        transforms: int = 5,
        hidden: Sequence[int] = (512, 512),
        monotone: MonotoneFactory = Affine,
        base: PriorFactory | None = None,
        solver: Solver = "auto",
        *,
        batch_norm: bool = False,
    ) -> None:
        maps = _masked(shape, context, transforms, hidden, monotone, solver)
        if batch_norm:
            maps = chain.from_iterable((made, BatchNorm(made.shape)) for made in maps)
        super().__init__(Chain([*_flat(shape), *maps]), base)


class IAF(Flow):
    """An inverse autoregressive flow (Kingma et al. 2016): MAF's maps turned round.

    A sample takes one pass through each net, a density of data that it did not draw up to D.

    Args:
        shape: The shape of x, which is flattened.
        context: The number of features of c, 0 without one.
        transforms: The number of maps.
        hidden: The widths of each net.
        monotone: Makes the map of one entry.
        base: Makes p_Z, a class of ``unveil.priors``; N(0, I) by default.
        solver: How the density of data is found, as :class:`MaskedAutoregressive` says.
    """

    def __init__(
        self,
        shape: Shape,
        context: int = 0,
        transforms: int = 5,
        hidden: Sequence[int] = (512, 512),
        monotone: MonotoneFactory = Affine,
        base: PriorFactory | None = None,
        solver: Solver = "auto",
    ) -> None:
        maps = _masked(shape, context, transforms, hidden, monotone, solver)
        super().__init__(Chain([*_flat(shape), *map(Inverse, maps)]), base)


class NICE(Flow):
    """Additive couplings of alternating halves, and one diagonal scale (Dinh et al. 2015).

    Args:
        shape: The shape of x, which is flattened.
        context: The number of features of c, 0 without one.
        transforms: The number of couplings.
        net: Makes each coupling's net.
        base: Makes p_Z, a class of ``unveil.priors``; N(0, I) by default (the paper's is ``StandardLogistic``).
    """

    def __init__(
        self,
        shape: Shape,
        context: int = 0,
        transforms: int = 4,
        net: NetFactory = MLP,
        base: PriorFactory | None = None,
    ) -> None:
        couplings = _alternating(shape, context, transforms, Shift, net)
        super().__init__(Chain([*_flat(shape), *couplings, ActNorm((prod(shape),))]), base)


class RealNVP(Flow):
    """Affine couplings (Dinh et al. 2017): of the halves of a vector in turn; of an image by checkerboard, then by
    channel, at several scales.

    Args:
        shape: The shape of x; images, (channels, height, width), have the multi-scale architecture.
        context: The number of features of c, 0 without one.
        transforms: The number of couplings of a vector; for an image, of each kind at each scale.
        scales: How many scales an image has; 2, or as many as its sides can be halved, by default.
        net: Makes each coupling's net; an MLP for vectors, convolutions for images, by default.
        base: Makes p_Z, a class of ``unveil.priors``; N(0, I) by default.
    """

    def __init__(
        self,
        shape: Shape,
        context: int = 0,
        transforms: int = 4,
        scales: int | None = None,
        net: NetFactory | None = None,
        base: PriorFactory | None = None,
    ) -> None:
        if len(shape) == 3:
            step = partial(_checkerboards_and_channels, context=context, transforms=transforms, net=net or ConvNet)
            super().__init__(_pyramid(shape, _scales(shape, scales, most=2), step), base)
        else:
            couplings = _alternating(shape, context, transforms, Affine, net or MLP)
            super().__init__(Chain([*_flat(shape), *couplings]), base)


class Glow(Flow):
    """Steps of activation norm, invertible 1x1 convolution and coupling, at several scales (Kingma & Dhariwal 2018).

    What leaves at a scale has a prior that depends on what goes on: an affine coupling before the branch.

    Args:
        shape: (channels, height, width).
        context: The number of features of c, 0 without one.
        steps: The number of steps at each scale.
        scales: How many scales; 3, or as many as the sides can be halved, by default.
        net: Makes each coupling's net.
        monotone: Makes the map of one entry; affine with scales from 1/e to e by default.
        base: Makes p_Z, a class of ``unveil.priors``; N(0, I) by default.
    """

    def __init__(
        self,
        shape: Shape,
        context: int = 0,
        steps: int = 8,
        scales: int | None = None,
        net: NetFactory = ConvNet,
        monotone: MonotoneFactory | None = None,
        base: PriorFactory | None = None,
    ) -> None:
        if len(shape) != 3:
            raise ValueError(f"shape: Glow expects images, (channels, height, width), got {tuple(shape)}; use NSF")

        def step(inner: Shape) -> Iterator[Bijection]:
            for _ in range(steps):
                yield from (ActNorm(inner), Linear(inner), Coupling(inner, context, None, monotone or GENTLE, net))

        def prior(inner: Shape) -> Iterator[Bijection]:
            yield Coupling(inner, context, None, GENTLE, net)

        super().__init__(_pyramid(shape, _scales(shape, scales, most=3), step, prior), base)


class NSF(Flow):
    """A neural spline flow by couplings: a random permutation, a linear map that starts as the identity, and a
    rational-quadratic spline coupling in turn (Durkan et al. 2019). The autoregressive one is ``MAF`` with
    ``monotone=Spline``.

    Args:
        shape: The shape of x, which is flattened.
        context: The number of features of c, 0 without one.
        transforms: The number of couplings.
        bins: The number of bins of each spline.
        bound: The splines act on [-bound, bound].
        net: Makes each coupling's net.
        base: Makes p_Z, a class of ``unveil.priors``; N(0, I) by default.
    """

    def __init__(
        self,
        shape: Shape,
        context: int = 0,
        transforms: int = 5,
        bins: int = 8,
        bound: float = 5.0,
        net: NetFactory = MLP,
        base: PriorFactory | None = None,
    ) -> None:
        flat = (prod(shape),)
        couplings = _alternating(flat, context, transforms, partial(Spline, bins, bound), net)
        maps = chain.from_iterable(
            (Permutation(flat, torch.randperm(*flat).tolist()), Linear(flat, rotated=False), coupling)
            for coupling in couplings
        )
        super().__init__(Chain([*_flat(shape), *maps]), base)


def _flat(shape: Shape) -> Iterator[Bijection]:
    """What makes a vector of anything."""
    if len(shape) != 1:
        yield Reshape(shape)


def _masked(
    shape: Shape, context: int, transforms: int, hidden: Sequence[int], monotone: MonotoneFactory, solver: Solver
) -> Iterator[Bijection]:
    """Masked autoregressive maps, every other one in reversed order."""
    order = list(range(prod(shape)))
    for i in range(transforms):
        net = partial(MaskedMLP, hidden=hidden, order=order[::-1] if i % 2 else order)
        yield MaskedAutoregressive((len(order),), context, monotone, net, solver)


def _alternating(
    shape: Shape, context: int, transforms: int, monotone: MonotoneFactory, net: NetFactory
) -> Iterator[Bijection]:
    """Couplings that keep one half of the entries and the other in turn."""
    size = prod(shape)
    if size < 2:
        raise ValueError(f"shape: a coupling expects at least 2 entries, got {size}; use MAF")
    for i in range(transforms):
        yield Coupling((size,), context, [(j < size // 2) == (i % 2 == 0) for j in range(size)], monotone, net)


def _checkerboards_and_channels(shape: Shape, context: int, transforms: int, net: NetFactory) -> Iterator[Bijection]:
    """Couplings of a squeezed image: by the places (0, 0) and (1, 1) of its 2 x 2 blocks, then by rows of them."""
    quarter = shape[0] // 4
    for groups in ((True, False, False, True), (True, True, False, False)):
        for i in range(transforms):
            keep = [group != bool(i % 2) for group in groups for _ in range(quarter)]
            yield from (ActNorm(shape), Coupling(shape, context, keep, GENTLE, net))


def _scales(shape: Shape, scales: int | None, most: int) -> int:
    """The number of scales: as asked for, or as many as there can be."""
    possible, (height, width) = 0, shape[1:]
    while height % 2 == 0 and width % 2 == 0:
        possible, height, width = possible + 1, height // 2, width // 2
    if scales is None and possible:
        return min(most, possible)
    if not possible:
        raise ValueError(f"shape: expected images of even sides, got {tuple(shape)}; pad the images, or use MAF or NSF")
    if scales is None or not 1 <= scales <= possible:
        raise ValueError(f"scales: expected from 1 to {possible} for images of {tuple(shape)}, got {scales}")
    return scales


def _pyramid(
    shape: Shape,
    scales: int,
    step: Callable[[Shape], Iterator[Bijection]],
    prior: Callable[[Shape], Iterator[Bijection]] = lambda shape: iter(()),
) -> Bijection:
    """Squeeze, transform, let half of the channels leave, and so on with the other half."""
    squeeze = Squeeze(shape)
    inner = squeeze.out_shape
    if scales == 1:
        return Chain([squeeze, *step(inner), Reshape(inner)])
    half = (inner[0] // 2, *inner[1:])
    return Chain([squeeze, *step(inner), *prior(inner), Branch(_pyramid(half, scales - 1, step, prior))])
