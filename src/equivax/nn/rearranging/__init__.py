"""Layers that change the order, the type or the grid of fields, and learn nothing."""

from ._disentangle import Disentangle as Disentangle
from ._mask import Mask as Mask
from ._reshuffle import Reshuffle as Reshuffle
from ._restriction import Identity as Identity
from ._restriction import Restriction as Restriction
from ._upsampling import Upsampling as Upsampling
