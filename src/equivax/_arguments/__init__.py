"""What users write for numbers, flags, words and functions: one check for each, one sentence.

Every check takes ``(value, caller, argument)``, returns the value as Python's own type, and raises
``caller: argument: expected ..., got ...``: TypeError for the wrong kind of thing, ValueError for a
number or word out of range. NumPy's scalars are taken wherever Python's are; a boolean is no
number. Arguments of JAX (keys, types, arrays) are in `arrays`, which rooms on the host do not
import.
"""

from ._checks import (
    choice,
    flag,
    function,
    integer,
    integers,
    is_flag,
    is_integer,
    is_number,
    is_several,
    is_traced,
    number,
    refuse,
    several,
    shown,
    text,
    type_of,
)
from ._matrices import generator_list, generator_matrix, real_array

__all__ = [
    "choice",
    "flag",
    "function",
    "generator_list",
    "generator_matrix",
    "integer",
    "integers",
    "is_flag",
    "is_integer",
    "is_number",
    "is_several",
    "is_traced",
    "number",
    "real_array",
    "refuse",
    "several",
    "shown",
    "text",
    "type_of",
]
