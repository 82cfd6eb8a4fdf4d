"""Sources: whatever a caller has, read as named parts of plain NumPy arrays."""

from unveil.data.sources.part import Part, Source
from unveil.data.sources.read import read

__all__ = ["Part", "Source", "read"]
