"""Modules of symm-learning, told by their attributes; the real ones are in tests/oracles."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from equivax import interop


def test_other_things_are_refused():
    with pytest.raises(TypeError, match=r"interop.symm_learning.load: module: expected"):
        interop.symm_learning.load(3)
    with pytest.raises(TypeError, match=r"eLinear, .*got SimpleNamespace; load the modules"):
        interop.symm_learning.load(SimpleNamespace(state_dict=dict))


def test_functions_need_a_type_before_them():
    class Tanh:
        training = False

        def state_dict(self):
            return {}

    with pytest.raises(TypeError, match="expected a layer with a type before Tanh"):
        interop.symm_learning.load(Tanh())
