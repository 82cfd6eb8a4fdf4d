"""Small shows of what the library does, one file each: ``unveil demo NAME``."""

__all__: list[str] = []
