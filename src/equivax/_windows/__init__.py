"""Windows that slide over a grid: one value, one set of arguments, one way to pad."""

from ._arguments import Integers as Integers
from ._arguments import ModeLike as ModeLike
from ._arguments import PaddingLike as PaddingLike
from ._arguments import as_tuple as as_tuple
from ._arguments import make_windows as make_windows
from ._arguments import one_of as one_of
from ._arrays import at_centres as at_centres
from ._arrays import correlate as correlate
from ._arrays import same_padding as same_padding
from ._arrays import window_count as window_count
from ._windows import Windows as Windows
from ._windows import advice as advice
