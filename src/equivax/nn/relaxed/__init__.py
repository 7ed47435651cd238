"""Symmetry that holds nearly: layers with a part that breaks it, and the price of that part."""

from ._penalty import symmetry_penalty as symmetry_penalty
from ._relax import relax as relax
from ._relaxed import Relaxed as Relaxed
from ._rest import Rest as Rest
