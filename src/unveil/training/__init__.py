"""One training loop for every model."""

from unveil.training.diagnosis import NonFiniteError
from unveil.training.fit import Run, fit
from unveil.training.learner import Learner

__all__ = ["Learner", "NonFiniteError", "Run", "fit"]
