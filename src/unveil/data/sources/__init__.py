"""Sources: whatever a caller has, read as named parts of plain NumPy arrays."""

from unveil.data.sources.raw import RawData, RawSplit
from unveil.data.sources.read import read
from unveil.data.sources.roles import Roles

__all__ = ["RawData", "RawSplit", "Roles", "read"]
