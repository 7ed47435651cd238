"""Draws the pictures of the pages: python docs/images/_draw.py

Needs matplotlib (`pip install 'equivax[viz]'`). Random numbers come from fixed keys, and the files
from a few seconds of one core; `axes.svg` is drawn by hand.
"""

import pathlib

import jax
import jax.numpy as jnp
import matplotlib as mpl
import matplotlib.pyplot as plt
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


def square():
    """The law as a square: map and turn, or turn and map."""
    space = evx.spaces.rot_on_r2(4)
    scalar, vector = evx.FieldType(space, space.trivial), evx.FieldType(space, space.vector)
    hidden = evx.FieldType(space, 4 * space.regular)
    first, second = jax.random.split(jax.random.key(3))
    network = nn.Sequential(
        nn.Conv(scalar, hidden, 7, padding=3, key=first),
        nn.ELU(hidden),
        nn.Conv(hidden, vector, 7, padding=3, key=second),
    )
    rows, columns = np.mgrid[-16:17, -16:17]

    def blob(row, column, size):
        return np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / size)

    x = jnp.asarray(blob(-4, 5, 30) + 0.8 * blob(5, 1, 14) + 0.6 * blob(6, -7, 10), jnp.float32)
    images = [x[None], scalar.transform(x[None], space.group.element(1))]
    figure, axes = plt.subplots(2, 2, figsize=(6.4, 6.2))
    names = (("x", "f(x)"), ("g x", "f(g x) = g f(x)"))
    for row, image in enumerate(images):
        axes[row, 0].imshow(image[0], cmap="magma", extent=(-16.5, 16.5, -16.5, 16.5))
        arrows = np.asarray(network(image))[:, ::3, ::3]
        x_of, y_of = np.meshgrid(np.arange(-16, 17, 3), np.arange(16, -17, -3))
        length = np.hypot(*arrows)
        axes[row, 1].quiver(x_of, y_of, *arrows, length, cmap="viridis", scale=6 * length.max())
        for axis, name in zip(axes[row], names[row], strict=True):
            axis.set(title=name, xticks=[], yticks=[], aspect="equal")
    figure.text(0.5, 0.71, "network f  →", ha="center", fontsize=9)
    figure.text(0.24, 0.485, "↓  quarter turn g", ha="center", fontsize=9)
    figure.text(0.75, 0.485, "↓  quarter turn g, of arrows too", ha="center", fontsize=9)
    figure.subplots_adjust(0.02, 0.02, 0.98, 0.94, 0.28, 0.22)
    save(figure, "square.png")


def irreps():
    """What a unit vector of each irrep of C8 does while the group goes round."""
    group = evx.groups.cyclic(8)
    figure, axes = plt.subplots(1, 4, figsize=(8, 2.2))
    for k, axis in enumerate(axes):
        rep = group.irrep(k)
        for element in group.elements:
            angle = 2 * np.pi * element.value / 8
            place = np.array([np.cos(angle), np.sin(angle)])
            arrow = rep(element)[:, 0]
            arrow = arrow if rep.size == 2 else np.array([0.0, arrow[0]])
            tail = place - 0.22 * arrow
            axis.arrow(
                *tail, *(0.44 * arrow), head_width=0.12, length_includes_head=True, color="C0"
            )
        axis.set(xlim=(-1.4, 1.4), ylim=(-1.4, 1.4), aspect="equal", title=f"irrep {k}")
        axis.axis("off")
    figure.tight_layout()
    save(figure, "irreps.png")


def regular():
    """A regular vector of C8, one number per element, before and after one step."""
    group = evx.groups.cyclic(8)
    x = np.array([1.0, 0.75, 0.35, 0.1, 0.0, 0.2, 0.5, 0.85])
    figure, axes = plt.subplots(1, 2, figsize=(5.2, 2.6))
    for axis, step, title in zip(axes, (0, 1), ("x", "turned by one eighth"), strict=True):
        values = group.regular(group.element(step)) @ x
        angles = 2 * np.pi * np.arange(8) / 8
        axis.scatter(np.cos(angles), np.sin(angles), c=values, cmap="viridis", s=420)
        for angle, value in zip(angles, values, strict=True):
            at = (np.cos(angle), np.sin(angle))
            colour = "black" if value > 0.6 else "white"
            axis.annotate(
                f"{abs(value):.2g}" if value > 1e-9 else "0",
                at,
                ha="center",
                va="center",
                color=colour,
                fontsize=8,
            )
        axis.set(xlim=(-1.5, 1.5), ylim=(-1.5, 1.5), aspect="equal", title=title)
        axis.axis("off")
    figure.tight_layout()
    save(figure, "regular.png")


def types():
    """The channels of an array in the order of its type."""
    space = evx.spaces.rot_on_r2(4)
    names = ["trivial", "vector", "regular"]
    fields = [2 * [space.trivial], 2 * [space.vector], 2 * [space.regular]]
    figure, axis = plt.subplots(figsize=(7.2, 1.5))
    start = 0
    for colour, (name, kind) in enumerate(zip(names, fields, strict=True)):
        for rep in kind:
            for channel in range(start, start + rep.size):
                axis.add_patch(plt.Rectangle((channel, 0), 1, 1, fc=f"C{colour}", ec="white"))
                axis.annotate(str(channel), (channel + 0.5, 0.5), ha="center", va="center")
            corner = (start + 0.04, -0.06)
            axis.add_patch(
                plt.Rectangle(corner, rep.size - 0.08, 1.12, fc="none", ec="black", lw=2)
            )
            axis.annotate(name, (start + rep.size / 2, 1.3), ha="center", fontsize=9)
            start += rep.size
    axis.set(xlim=(-0.2, start + 0.2), ylim=(-0.2, 1.7))
    axis.axis("off")
    figure.tight_layout()
    save(figure, "types.png")


if __name__ == "__main__":
    square()
    irreps()
    regular()
    types()
    kernels()
    fields()
    errors()
