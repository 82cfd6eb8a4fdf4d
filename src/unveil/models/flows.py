"""The named flows as models of data: the arguments of ``unveil.flows``' classes, and what is observed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from unveil import flows
from unveil.flows import Affine, DequantizationFactory, MonotoneFactory, Solver, Uniform
from unveil.models.exact import MARGIN, FlowModel
from unveil.nets import MLP, ConvNet, NetFactory
from unveil.priors import PriorFactory, StandardNormal
from unveil.variables import Variable


class MAF(FlowModel):
    """A masked autoregressive flow of data (Papamakarios et al. 2017): :class:`unveil.flows.MAF`.

    Args:
        x: What is observed.
        context: What the model is conditioned on, if anything.
        transforms: The number of maps.
        hidden: The widths of each masked net.
        monotone: Makes the map of one entry; ``Spline`` makes the autoregressive neural spline flow.
        base: Makes the density of the noise.
        dequantization: Makes q(y | x) for whole numbers.
        margin: How far the logit of whole numbers keeps from 0 and 1.
        solver: How samples are found: parallel, sequential, or what is faster.
        batch_norm: Whether each map is followed by batch normalisation, as in the paper.
    """

    def __init__(
        self,
        x: Variable,
        context: Variable | None = None,
        transforms: int = 5,
        hidden: Sequence[int] = (512, 512),
        monotone: MonotoneFactory = Affine,
        base: PriorFactory = StandardNormal,
        dequantization: DequantizationFactory = Uniform,
        margin: float = MARGIN,
        solver: Solver = "auto",
        *,
        batch_norm: bool = False,
    ) -> None:
        flow = partial(
            flows.MAF,
            transforms=transforms,
            hidden=hidden,
            monotone=monotone,
            base=base,
            solver=solver,
            batch_norm=batch_norm,
        )
        super().__init__(x, context, flow, dequantization, margin)


class IAF(FlowModel):
    """An inverse autoregressive flow of data (Kingma et al. 2016): :class:`unveil.flows.IAF`.

    It samples fast and fits slowly.

    Args:
        x: What is observed.
        context: What the model is conditioned on, if anything.
        transforms: The number of maps.
        hidden: The widths of each masked net.
        monotone: Makes the map of one entry.
        base: Makes the density of the noise.
        dequantization: Makes q(y | x) for whole numbers.
        margin: How far the logit of whole numbers keeps from 0 and 1.
        solver: How densities are found: parallel, sequential, or what is faster.
    """

    def __init__(
        self,
        x: Variable,
        context: Variable | None = None,
        transforms: int = 5,
        hidden: Sequence[int] = (512, 512),
        monotone: MonotoneFactory = Affine,
        base: PriorFactory = StandardNormal,
        dequantization: DequantizationFactory = Uniform,
        margin: float = MARGIN,
        solver: Solver = "auto",
    ) -> None:
        flow = partial(flows.IAF, transforms=transforms, hidden=hidden, monotone=monotone, base=base, solver=solver)
        super().__init__(x, context, flow, dequantization, margin)


class NICE(FlowModel):
    """Additive couplings of data (Dinh et al. 2015): :class:`unveil.flows.NICE`.

    Args:
        x: What is observed.
        context: What the model is conditioned on, if anything.
        transforms: The number of couplings.
        net: Makes each coupling's net.
        base: Makes the density of the noise.
        dequantization: Makes q(y | x) for whole numbers.
        margin: How far the logit of whole numbers keeps from 0 and 1.
    """

    def __init__(
        self,
        x: Variable,
        context: Variable | None = None,
        transforms: int = 4,
        net: NetFactory = MLP,
        base: PriorFactory = StandardNormal,
        dequantization: DequantizationFactory = Uniform,
        margin: float = MARGIN,
    ) -> None:
        flow = partial(flows.NICE, transforms=transforms, net=net, base=base)
        super().__init__(x, context, flow, dequantization, margin)


class RealNVP(FlowModel):
    """Affine couplings of data (Dinh et al. 2017): :class:`unveil.flows.RealNVP`.

    Args:
        x: What is observed.
        context: What the model is conditioned on, if anything.
        transforms: The number of couplings of a vector; for an image, of each kind at each scale.
        scales: How many scales an image has; 2, or as many as its sides can be halved, by default.
        net: Makes each coupling's net; an MLP for vectors, convolutions for images, by default.
        base: Makes the density of the noise.
        dequantization: Makes q(y | x) for whole numbers.
        margin: How far the logit of whole numbers keeps from 0 and 1.
    """

    def __init__(
        self,
        x: Variable,
        context: Variable | None = None,
        transforms: int = 4,
        scales: int | None = None,
        net: NetFactory | None = None,
        base: PriorFactory = StandardNormal,
        dequantization: DequantizationFactory = Uniform,
        margin: float = MARGIN,
    ) -> None:
        flow = partial(flows.RealNVP, transforms=transforms, scales=scales, net=net, base=base)
        super().__init__(x, context, flow, dequantization, margin)


class Glow(FlowModel):
    """A multi-scale flow of images (Kingma & Dhariwal 2018): :class:`unveil.flows.Glow`.

    Args:
        x: What is observed.
        context: What the model is conditioned on, if anything.
        steps: The number of steps at each scale.
        scales: How many scales; 3, or as many as the sides can be halved, by default.
        net: Makes each coupling's net.
        monotone: Makes the map of one entry; affine with scales from 1/e to e by default.
        base: Makes the density of the noise.
        dequantization: Makes q(y | x) for whole numbers.
        margin: How far the logit of whole numbers keeps from 0 and 1.
    """

    def __init__(
        self,
        x: Variable,
        context: Variable | None = None,
        steps: int = 8,
        scales: int | None = None,
        net: NetFactory = ConvNet,
        monotone: MonotoneFactory | None = None,
        base: PriorFactory = StandardNormal,
        dequantization: DequantizationFactory = Uniform,
        margin: float = MARGIN,
    ) -> None:
        flow = partial(flows.Glow, steps=steps, scales=scales, net=net, monotone=monotone, base=base)
        super().__init__(x, context, flow, dequantization, margin)


class NSF(FlowModel):
    """A neural spline flow of data, by couplings (Durkan et al. 2019): :class:`unveil.flows.NSF`.

    Args:
        x: What is observed.
        context: What the model is conditioned on, if anything.
        transforms: The number of couplings.
        bins: The number of bins of each spline.
        bound: The splines act on [-bound, bound].
        net: Makes each coupling's net.
        base: Makes the density of the noise.
        dequantization: Makes q(y | x) for whole numbers.
        margin: How far the logit of whole numbers keeps from 0 and 1.
    """

    def __init__(
        self,
        x: Variable,
        context: Variable | None = None,
        transforms: int = 5,
        bins: int = 8,
        bound: float = 5.0,
        net: NetFactory = MLP,
        base: PriorFactory = StandardNormal,
        dequantization: DequantizationFactory = Uniform,
        margin: float = MARGIN,
    ) -> None:
        flow = partial(flows.NSF, transforms=transforms, bins=bins, bound=bound, net=net, base=base)
        super().__init__(x, context, flow, dequantization, margin)
