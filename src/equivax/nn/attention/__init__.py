"""Attention between tokens, for vectors of any type, and where the tokens stand."""

from ._multihead import MultiheadAttention as MultiheadAttention
from ._multihead import plain_attention as plain_attention
from ._on_grids import AbsoluteGridPositions as AbsoluteGridPositions
from ._on_grids import RelativeGridPositions as RelativeGridPositions
from ._positions import AbsolutePositions as AbsolutePositions
from ._positions import AbstractPositions as AbstractPositions
from ._positions import RelativePositions as RelativePositions
from ._positions import check_vectors as check_vectors
from ._positions import places as places
from ._rotary import RotaryPositions as RotaryPositions
from ._rotary_on_grids import RotaryGridPositions as RotaryGridPositions
from ._windows_on_grids import window_cells as window_cells
from ._windows_on_grids import window_mask as window_mask
