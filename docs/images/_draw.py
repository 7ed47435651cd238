"""Draws the pictures of the guide: python docs/images/_draw.py

Needs matplotlib (`pip install 'equivax[viz]'`). Random numbers come from fixed keys, and the files
from a few seconds of one core; `axes.svg` is drawn by hand.
"""

import pathlib

import jax
import jax.numpy as jnp
import matplotlib as mpl
import numpy as np

import equivax as evx
from equivax import nn, viz

HERE = pathlib.Path(__file__).parent


def save(figure, name):
    """A small PNG without a date, so that drawing twice gives the same file."""
    figure.savefig(HERE / name, dpi=72, metadata={"Software": None})


def smooth_image():
    """A bump beside the middle, small near the corners."""
    rows, columns = np.mgrid[-16:17, -16:17]
    return jnp.asarray(np.exp(-(rows**2 + (columns - 4) ** 2) / 30), jnp.float32)[None]


def kernels():
    space = evx.spaces.rot_on_r2(8)
    basis = evx.kernels.steerable_basis(space, space.trivial, space.irrep(1), 5)
    save(viz.plot_kernels(basis, columns=5), "kernels.png")


def fields():
    space = evx.spaces.rot_on_r2(8)
    scalar, vector = evx.FieldType(space, space.trivial), evx.FieldType(space, space.vector)
    conv = nn.Conv(scalar, scalar + vector, 5, padding=2, key=jax.random.key(0))
    y = conv(scalar(smooth_image()))
    quarter = space.group.elements[2]
    coarse = evx.GeometricTensor(y.array[:, 4:-4:2, 4:-4:2], y.type)  # fewer arrows
    save(viz.plot_fields(coarse, columns=2), "fields.png")
    save(viz.plot_fields(coarse.transform(quarter), columns=2), "fields_turned.png")


def errors():
    """Networks of equal channels under C1, C4 and C8, with random parameters."""
    curves = {}
    for order in (1, 4, 8):
        space = evx.spaces.rot_on_r2(order)
        scalar = evx.FieldType(space, space.trivial)
        hidden = evx.FieldType.for_channels(space, space.regular, 32)
        first, second = jax.random.split(jax.random.key(1))
        network = nn.Sequential(
            nn.Conv(scalar, hidden, 5, padding=2, key=first),
            nn.ELU(hidden),
            nn.Conv(hidden, hidden, 5, padding=2, key=second),
            nn.ELU(hidden),
            nn.GroupPooling(hidden),
        )
        angles = np.linspace(0, 2 * np.pi, 49)
        curves[f"C{order}"] = viz.error_by_angle(network, smooth_image(), angles=angles)
    with mpl.rc_context({"svg.hashsalt": "equivax"}):
        figure = viz.plot_error_by_angle(**curves)
        figure.savefig(HERE / "errors.svg", metadata={"Date": None})


if __name__ == "__main__":
    kernels()
    fields()
    errors()
