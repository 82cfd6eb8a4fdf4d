"""Inference that is no training loop: expectation maximisation."""

from unveil.inference import em
from unveil.inference.em import Fitted

__all__ = ["Fitted", "em"]
