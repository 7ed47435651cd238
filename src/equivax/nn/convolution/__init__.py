"""Layers that slide a kernel over a grid."""

from ._conv import Conv as Conv
from ._conv_contract import ConvContract as ConvContract
from ._conv_transpose import ConvTranspose as ConvTranspose
from ._diffop import Diffop as Diffop
from ._shared import types_of_one_group as types_of_one_group
