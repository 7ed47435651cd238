"""Layers that slide a kernel over a grid."""

from ._conv import Conv as Conv
from ._conv_contract import ConvContract as ConvContract
from ._conv_transpose import ConvTranspose as ConvTranspose
from ._diffop import Diffop as Diffop
from ._shared import Weights as Weights
from ._shared import checked_types as checked_types
from ._shared import initial_weights as initial_weights
from ._shared import types_of_one_group as types_of_one_group
