"""Data: any source becomes batches of one kind of observation. Knows no model.

:func:`load` reads a source (the embedded digits, a file, a folder, a hub name, arrays, a ``datasets.Dataset``), decides
what an observation is (binary, levels 0..L-1, or real), parts the rows into train, validation and test, and says what
it decided and why (:meth:`Data.describe`). All rows of a :class:`Split` stay one tensor that is indexed;
:func:`epoch_order` says in which order.

Three rules hold throughout: nothing is ever unpickled; no row is in two splits; a value that the training rows show to
be impossible is refused, with its rows named.
"""

from unveil.data.dataset import Data
from unveil.data.format import Format
from unveil.data.loading import load
from unveil.data.order import epoch_order
from unveil.data.sequences import padded
from unveil.data.split import Redraw, Split

__all__ = ["Data", "Format", "Redraw", "Split", "epoch_order", "load", "padded"]
