"""Calls of `nn` and `models`.

``CALLS`` holds one valid call of every public function, constructor and method with arguments,
with a kind (see `kinds`) for each argument that has one; what is given as it is, is not varied.
``LEFT_OUT`` says, by a regular expression of names as `cases.public` gives them, which are not
called, and why.
"""

from __future__ import annotations

import jax.numpy as jnp

from cases import Call
from equivax import groups, nn
from kinds import array, flag, key, representation

C4 = groups.cyclic(4)
LINEAR = nn.Linear(C4.regular, C4.regular, key=key().good)

CALLS = [
    Call(
        nn.Linear,
        in_type=representation(C4.regular),
        out_type=representation(C4.regular),
        use_bias=flag(True),
        key=key(),
    ).but("in_type", "field type", "either", "a vector layer takes field types of a point too"),
    Call(LINEAR, _0=array(jnp.ones((2, 4)))),
]

LEFT_OUT: dict[str, str] = {r".*": "the table is still to be written"}
