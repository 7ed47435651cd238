"""Groups, representations and bases as pytrees without leaves.

They are hashable values, so JAX can keep them in the structure of a pytree: they pass through
``jit`` and ``vmap``, and two equal ones share a compilation. Done here because the rooms above
are NumPy only.
"""

from __future__ import annotations

import functools

import jax

from ..groups import GroupElement
from ..representations import Representation
from ._basis import HomBasis


@functools.cache
def register_static_values() -> None:
    """Registers the value types with JAX, once per process."""
    for cls in (GroupElement, Representation, HomBasis):
        jax.tree_util.register_static(cls)


register_static_values()
