"""Inference that is no training loop: expectation maximisation."""

from unveil.inference import em

__all__ = ["em"]
