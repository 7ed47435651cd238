"""Initial coefficients of steerable kernels.

A scheme is a callable ``(basis, key) -> {pair of kinds: array}``; layers take these by name.
"""

from .convolution._initial import SCHEMES as SCHEMES
from .convolution._initial import Coefficients as Coefficients
from .convolution._initial import Scheme as Scheme
from .convolution._initial import delta_orthonormal as delta_orthonormal
from .convolution._initial import generalized_he as generalized_he
from .convolution._initial import zeros as zeros
