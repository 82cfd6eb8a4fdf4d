"""Normalizing flows: invertible maps with their log-determinants, and the densities that they make."""

from unveil.flows.autoregressive import MaskedAutoregressive, MonotoneFactory, Solver
from unveil.flows.base import Bijection, Chain, Inverse
from unveil.flows.coupling import Coupling, MaskedCoupling, checkerboard
from unveil.flows.dequantization import Dequantization, DequantizationFactory, FlowFactory, Uniform, Variational
from unveil.flows.elementwise import Logit
from unveil.flows.flow import Flow
from unveil.flows.linear import Linear, Permutation
from unveil.flows.monotone import Affine, Monotone, Shift
from unveil.flows.multiscale import Branch
from unveil.flows.named import IAF, MAF, NICE, NSF, Glow, RealNVP
from unveil.flows.normalize import ActNorm, BatchNorm
from unveil.flows.residual import Householder, Planar, Sylvester
from unveil.flows.shapes import Reshape, Squeeze
from unveil.flows.spline import Spline

__all__ = [
    "IAF",
    "MAF",
    "NICE",
    "NSF",
    "ActNorm",
    "Affine",
    "BatchNorm",
    "Bijection",
    "Branch",
    "Chain",
    "Coupling",
    "Dequantization",
    "DequantizationFactory",
    "Flow",
    "FlowFactory",
    "Glow",
    "Householder",
    "Inverse",
    "Linear",
    "Logit",
    "MaskedAutoregressive",
    "MaskedCoupling",
    "Monotone",
    "MonotoneFactory",
    "Permutation",
    "Planar",
    "RealNVP",
    "Reshape",
    "Shift",
    "Solver",
    "Spline",
    "Squeeze",
    "Sylvester",
    "Uniform",
    "Variational",
    "checkerboard",
]
