"""Evaluation: what a model makes of a split, every number with its errors and what it is."""

from unveil.evaluation.annealed import Annealed, ais, simulate
from unveil.evaluation.estimate import Estimate, PerExample
from unveil.evaluation.evaluate import evaluate
from unveil.evaluation.record import Evaluation

__all__ = ["Annealed", "Estimate", "Evaluation", "PerExample", "ais", "evaluate", "simulate"]
