"""Inference that is no training loop: expectation maximisation, coordinate ascent."""

from unveil.inference import cavi, em
from unveil.inference.cavi import Inferred
from unveil.inference.em import Fitted

__all__ = ["Fitted", "Inferred", "cavi", "em"]
