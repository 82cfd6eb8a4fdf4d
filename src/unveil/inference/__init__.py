"""Inference that is no training loop: expectation maximisation, coordinate ascent."""

from typing import Any

from unveil.inference import cavi, em
from unveil.inference.cavi import Inferred
from unveil.inference.em import Fitted


def __getattr__(name: str) -> Any:
    if name == "EMEstimator":  # scikit-learn is imported for it
        from unveil.inference.estimator import EMEstimator

        return EMEstimator
    if name == "run":  # the training loop's folders are imported for it
        from unveil.inference.running import run

        return run
    raise AttributeError(f"module 'unveil.inference' has no attribute {name!r}")


__all__ = ["EMEstimator", "Fitted", "Inferred", "cavi", "em", "run"]
