"""How fast are pools as separable slices, against windows and depthwise convolutions of XLA?

The function, and its gradient in the input, on (16, 64, 32, 32) in float32. The plain layers are
what `export` returns: `equinox.nn.MaxPool2d` and `AvgPool2d` (``reduce_window``) and a depthwise
`equinox.nn.Conv2d`.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from timing import by_turns, machine, milliseconds, ratio, table

import equivax as evx

SPACE = evx.spaces.rot_on_r2(4)
TYPE = evx.FieldType(SPACE, 16 * SPACE.regular)
LAYERS = {
    "max 2/2": evx.nn.PointwiseMaxPool(TYPE, 2, grid_check="off"),
    "max 3/2/1": evx.nn.PointwiseMaxPool(TYPE, 3, 2, 1, grid_check="off"),
    "max 5/1/2": evx.nn.PointwiseMaxPool(TYPE, 5, 1, 2, grid_check="off"),
    "mean 2/2": evx.nn.PointwiseAvgPool(TYPE, 2, grid_check="off"),
    "mean 3/2/1": evx.nn.PointwiseAvgPool(TYPE, 3, 2, 1, grid_check="off"),
    "blur /1": evx.nn.PointwiseAvgPoolAntialiased(TYPE, 0.6, 1, grid_check="off"),
    "blur /2": evx.nn.PointwiseAvgPoolAntialiased(TYPE, 0.6, 2, grid_check="off"),
    "blurred max 3/2/1": evx.nn.PointwiseMaxPoolAntialiased(TYPE, 3, 2, 1, grid_check="off"),
}


def main() -> None:
    x = jax.random.normal(jax.random.key(0), (16, TYPE.size, 32, 32))
    rows = []
    for name, layer in LAYERS.items():
        plain = jax.vmap(layer.export())
        calls = {}
        for kind, function in (("slices", layer), ("windows", plain)):
            forward = jax.jit(function)
            gradient = jax.jit(jax.grad(lambda v, f=function: jnp.sum(f(v) ** 2)))
            calls[kind] = lambda f=forward: f(x)
            calls[f"{kind}, gradient"] = lambda f=gradient: f(x)
        times = by_turns(calls)
        rows.append(
            [
                name,
                *(milliseconds(times[column]) for column in calls),
                f"{ratio(times['windows, gradient'], times['slices, gradient']):.1f}",
            ]
        )
    header = ["pool", "slices", "gradient", "windows", "gradient", "ratio of gradients"]
    print(machine())
    print(table(header, rows))


if __name__ == "__main__":
    main()
