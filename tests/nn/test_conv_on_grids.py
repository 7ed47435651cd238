"""Convolutions on grids of four axes: they commute, and export to Equinox."""

import equinox as eqx
import numpy as np
import pytest

from equivax import FieldType, nn, spaces
from laws import normal, relative

GRID = spaces.grid(4)
SCALAR, VECTOR = FieldType(GRID, GRID.trivial), FieldType(GRID, GRID.vector)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    "build, side",
    [
        (lambda key: nn.Conv(SCALAR, VECTOR, 3, basis="grid", padding=1, key=key), 3),
        pytest.param(
            lambda key: nn.ConvTranspose(SCALAR, VECTOR, 2, basis="grid", stride=2, key=key),
            2,
            marks=pytest.mark.slow,
        ),
    ],
)
def test_four_axes(build, side, key):
    layer, x = build(key), normal(1, *4 * (side,))
    plain = layer.export()
    assert isinstance(plain, (eqx.nn.Conv, eqx.nn.ConvTranspose))
    elements = GRID.group.generators
    inputs = np.stack([x, *(SCALAR.transform(x, g) for g in elements)])
    y, *moved = eqx.filter_jit(layer)(inputs)
    assert y.shape[0] == 4
    for g, found in zip(elements, moved, strict=True):
        assert relative(found, VECTOR.transform(y, g)) < 1e-12
    assert relative(eqx.filter_jit(plain)(x), y) < 1e-12
