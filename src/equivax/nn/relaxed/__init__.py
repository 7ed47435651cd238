"""Symmetry that holds nearly: layers with a part that breaks it, and the price of that part."""

from ._penalty import symmetry_penalty as symmetry_penalty
from ._plain_types import nearest as nearest
from ._plain_types import typed_layers as typed_layers
from ._relax import relax as relax
from ._relaxed import Relaxed as Relaxed
from ._rest import Rest as Rest
