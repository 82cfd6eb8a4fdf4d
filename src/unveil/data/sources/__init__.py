"""Sources: whatever a caller has, read as named parts of plain NumPy arrays."""

from unveil.data.sources.raw import RawData, RawSplit
from unveil.data.sources.read import read

__all__ = ["RawData", "RawSplit", "read"]
