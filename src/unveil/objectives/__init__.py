"""Objectives: traces -> one value per example."""

from unveil.objectives.base import Objective
from unveil.objectives.bounds import ELBO, IWAE, BetaELBO, FreeBits, Hybrid, SummedELBO
from unveil.objectives.schedules import Constant, Cosine, Cyclical, Linear, Schedule, WarmUp, schedule

__all__ = [
    "ELBO",
    "IWAE",
    "BetaELBO",
    "Constant",
    "Cosine",
    "Cyclical",
    "FreeBits",
    "Hybrid",
    "Linear",
    "Objective",
    "Schedule",
    "SummedELBO",
    "WarmUp",
    "schedule",
]
