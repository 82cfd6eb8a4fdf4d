"""Functions of tensors; no probability here."""

from unveil.nets.base import Net, NetFactory, Shape, flattened, joined
from unveil.nets.conv import ConvDecoder, ConvEncoder
from unveil.nets.masked import MaskedLinear, MaskedMLP
from unveil.nets.mlp import MLP, Dense, GatedDense, GatedMLP
from unveil.nets.same import ConvNet
from unveil.nets.standardize import Standardize

__all__ = [
    "MLP",
    "ConvDecoder",
    "ConvEncoder",
    "ConvNet",
    "Dense",
    "GatedDense",
    "GatedMLP",
    "MaskedLinear",
    "MaskedMLP",
    "Net",
    "NetFactory",
    "Shape",
    "Standardize",
    "flattened",
    "joined",
]
