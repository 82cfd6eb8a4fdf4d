"""The command line: read what was asked for, make the parts, call the library, say what happened.

Every flag of a command is a field of a record in :mod:`unveil.cli.options`, and every option of a part is an argument
of its constructor: both are read off signatures and docstrings, so that a new part needs no line here. A setting is a
flat pair such as ``model.prior.components: 500``, on the command line and in ``config.yaml`` alike.
"""

from unveil.cli.app import main

__all__ = ["main"]
