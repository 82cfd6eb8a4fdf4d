"""Estimators of an objective's gradient."""

from unveil.gradients.base import Gradient, Step
from unveil.gradients.pathwise import DReG, Pathwise, RelaxedPathwise, StickingTheLanding

__all__ = ["DReG", "Gradient", "Pathwise", "RelaxedPathwise", "Step", "StickingTheLanding"]
