"""Small shows of what the library does, one file each: ``unveil demo NAME``."""
