"""Generic numbers without a random generator.

A canonical construction sometimes needs a *generic* element: one without accidental
coincidences. Random generators may change between NumPy versions, and transcendental
functions differ in the last digit between machines; a hash of integers does neither.
"""

import numpy as np
from jaxtyping import Float

_INCREMENT = np.uint64(0x9E3779B97F4A7C15)
_MULTIPLIERS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


def generic_numbers(count: int, attempt: int = 0) -> Float[np.ndarray, " count"]:
    """Numbers in (-1, 1) without structure, the same on every machine.

    The splitmix64 finaliser applied to 1, 2, 3, ... (Steele, Lea, Flood 2014).

    Args:
        count: How many.
        attempt: Another value gives other numbers.

    Returns:
        Array of shape ``(count,)``.
    """
    start = np.uint64((attempt << 32) + 1)
    with np.errstate(over="ignore"):
        state = (np.arange(count, dtype=np.uint64) + start) * _INCREMENT
        state = (state ^ (state >> np.uint64(30))) * _MULTIPLIERS[0]
        state = (state ^ (state >> np.uint64(27))) * _MULTIPLIERS[1]
        state = state ^ (state >> np.uint64(31))
    unit = (state >> np.uint64(11)).astype(np.float64) / 2.0**53
    return 2.0 * unit - 1.0
