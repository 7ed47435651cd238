"""What is drawn is what the arrays say: numbers are read back from the pictures."""

import io

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from equivax import FieldType, GeometricTensor, groups, kernels, nn, spaces, stats, viz

pytest.importorskip("matplotlib")

from matplotlib.figure import Figure
from matplotlib.quiver import Quiver


def drawn(figure):
    """The figure draws into a buffer."""
    assert isinstance(figure, Figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=30)
    assert buffer.getvalue().startswith(b"\x89PNG")
    return figure.axes


def arrows(axes):
    """Positions and components of the arrows on axes, as numbers."""
    (quiver,) = [c for c in axes.collections if isinstance(c, Quiver)]
    return np.stack([quiver.X, quiver.Y]), np.stack([quiver.U, quiver.V]), quiver


def on_screen(axes):
    """Start and direction of every arrow in pixels of the picture: right and up are positive."""
    (x, y), (u, v), _ = arrows(axes)
    transform = axes.transData.transform
    start = transform(np.stack([x, y], axis=1))
    end = transform(np.stack([x + u, y + v], axis=1))
    return start, end - start


def test_arrows_point_along_x_and_up_along_y():
    space = spaces.rot_on_r2(4)
    vector = FieldType(space, space.vector)
    field = jnp.zeros((2, 5, 7)).at[0, 0, 6].set(2.0).at[1, 4, 0].set(1.0)
    (axes,) = drawn(viz.plot_fields(field, vector))
    start, way = on_screen(axes)
    start, way = start.reshape(5, 7, 2), way.reshape(5, 7, 2)
    right = way[0, 6]
    assert right[0] > 0
    assert abs(right[1]) < 1e-9
    up = way[4, 0]
    assert up[1] > 0
    assert abs(up[0]) < 1e-9
    assert np.isclose(right[0], 2 * up[1])
    # row 0 is at the top, the last column at the right
    assert start[0, 0, 1] > start[4, 0, 1]
    assert start[0, 6, 0] > start[0, 0, 0]
    assert arrows(axes)[2].angles == "xy"


def test_a_field_that_points_outwards_does_so_after_a_turn():
    space = spaces.rot_on_r2(4)
    vector = FieldType(space, space.vector)
    points = spaces._grid.grid_points((5, 5)).T.reshape(2, 5, 5)
    outwards = GeometricTensor(jnp.asarray(points, jnp.float32), vector)
    for g in space.group.elements:
        (axes,) = drawn(viz.plot_fields(outwards.transform(g)))
        places, values, _ = arrows(axes)
        assert np.allclose(places, values, atol=1e-6)


@pytest.mark.parametrize("axis", [0.0, 0.3, np.pi / 2])
def test_irreps_along_a_mirror_axis_are_drawn_in_x_and_y(axis):
    space = spaces.flip_rot_on_r2(8, axis)
    irrep = FieldType(space, space.irrep(1, 1))
    along = jnp.zeros((2, 3, 3)).at[0].set(1.0)  # the first coordinate runs along the mirror
    (axes,) = drawn(viz.plot_fields(along, irrep))
    _, values, _ = arrows(axes)
    assert np.allclose(values, np.array([[np.cos(axis)], [np.sin(axis)]]), atol=1e-6)


def test_scalars_are_images_in_place():
    space = spaces.rot_on_r2(4)
    mixed = FieldType(space, space.trivial + space.regular + space.vector)
    x = jax.random.normal(jax.random.key(0), (7, 3, 5))
    axes = drawn(viz.plot_fields(x, mixed, columns=3))
    assert len([a for a in axes if a.axison]) == 6  # 1 + 4 images, one picture of arrows
    for number in range(5):
        (image,) = axes[number].images
        assert np.allclose(image.get_array(), x[number])
        assert image.get_extent() == [-2.5, 2.5, -1.5, 1.5]
        assert image.origin == "upper"
        low, high = image.get_clim()
        assert high == -low == pytest.approx(float(jnp.abs(x[:5]).max()))
    assert np.allclose(arrows(axes[5])[1], np.asarray(x[5:]).reshape(2, -1))
    assert axes[2].get_title() == "regular[1] 1"


def test_kernels_from_scalars_to_vectors_are_arrows():
    space = spaces.rot_on_r2(-1)
    basis = kernels.steerable_basis(space, space.trivial, space.irrep(1), 5)
    axes = drawn(viz.plot_kernels(basis))
    assert len([a for a in axes if a.axison]) == basis.dim
    for one, element, name in zip(axes, basis.elements(), basis.names(), strict=False):
        assert one.get_title() == name
        places, values, _ = arrows(one)
        assert np.allclose(values, element[:, 0].reshape(2, -1))
        # SO(2): at every tap the same angle to the radius
        far = np.hypot(*places) > 0
        spin = (places[0] + 1j * places[1]).conj() * (values[0] + 1j * values[1])
        spin = spin[far & (np.abs(spin) > 1e-9)]
        assert np.allclose(spin / np.abs(spin), spin[0] / abs(spin[0]))


def test_other_kernels_are_tiles():
    space = spaces.rot_on_r2(4)
    basis = kernels.steerable_basis(space, space.irrep(1), space.irrep(1), 3)
    axes = drawn(viz.plot_kernels(basis))
    for one, element in zip(axes, basis.elements(), strict=False):
        (image,) = one.images
        shown = np.asarray(image.get_array())
        assert shown.shape == (7, 7)
        assert np.allclose(shown[4:, :3], element[1, 0])
    back = kernels.steerable_basis(space, space.irrep(1), space.trivial, 3)
    one = drawn(viz.plot_kernels(back))[0]
    assert np.allclose(arrows(one)[1], back.elements()[0, 0].reshape(2, -1))


# ---- errors by angle ---------------------------------------------------------------------------


def smooth(size=33):
    points = spaces._grid.grid_points((size, size)).T.reshape(2, size, size)
    bump = np.exp(-((points[0] - 3) ** 2 + (points[1] + 2) ** 2) / 40)
    return jnp.asarray(bump[None] * (1 + 0.2 * points[0]), jnp.float32)


def test_errors_are_small_and_vanish_at_quarter_turns():
    space = spaces.rot_on_r2(8)
    x, h = FieldType(space, space.trivial), FieldType(space, space.regular)
    conv = nn.Conv(x, h, 5, padding=2, key=jax.random.key(0))
    angles, errors = viz.error_by_angle(conv, smooth())
    assert np.allclose(angles, np.arange(8) * np.pi / 4)
    assert errors[::2].max() < 1e-4
    assert 1e-5 < errors[1::2].max() < 0.1
    plain = conv.export()
    _, broken = viz.error_by_angle(
        lambda v: plain(v) * jnp.arange(8.0)[:, None, None], smooth(), x, h
    )
    assert broken[2] > 0.1


def test_scalars_may_turn_by_any_angle():
    space = spaces.rot_on_r2(4)
    x = FieldType(space, space.trivial)
    angles, errors = viz.error_by_angle(
        nn.Identity(x), smooth(), angles=np.linspace(0, 2 * np.pi, 9)
    )
    assert len(angles) == 9
    assert errors.max() < 1e-5
    point = FieldType(spaces.no_base_space(space.group), space.trivial)
    _, errors = viz.error_by_angle(lambda v: v.sum((-2, -1)), smooth(), x, point, angles=[0.3, 1.0])
    assert errors.max() < 1e-2


@pytest.mark.parametrize("make", [spaces.rot_on_r2, spaces.flip_rot_on_r2])
def test_continuous_groups_have_36_angles(make):
    space = make(-1)
    x = FieldType(space, space.trivial + space.vector)
    _, errors = viz.error_by_angle(nn.Identity(x), jnp.concatenate([smooth()] * 3))
    assert errors.shape == (36,)
    assert errors.max() < 1e-5


def test_curves_are_what_was_measured():
    angles = np.linspace(0, np.pi, 5)
    (axes,) = drawn(viz.plot_error_by_angle(plain_network=(angles, angles**2)))
    (line,) = axes.lines
    assert np.allclose(line.get_xdata(), np.degrees(angles))
    assert np.allclose(line.get_ydata(), angles**2)
    assert axes.get_legend().get_texts()[0].get_text() == "plain network"


# ---- refused -----------------------------------------------------------------------------------

SPACE = spaces.rot_on_r2(4)
SCALAR = FieldType(SPACE, SPACE.trivial)
LINE = FieldType(spaces.on_r1(SPACE.group), SPACE.trivial)
ONE = jnp.zeros((1, 3, 3))
SAME = nn.Identity(SCALAR)
VECTOR = nn.Identity(FieldType(SPACE, SPACE.vector))
plot, curve = viz.plot_fields, viz.error_by_angle
BASIS = kernels.steerable_basis(SPACE, SPACE.trivial, SPACE.trivial, 3)


@pytest.mark.usefixtures("unchecked_annotations")
@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: plot(ONE), TypeError, "plot_fields: in_type: .*None"),
        (lambda: plot(jnp.zeros((1, 3)), LINE), ValueError, "in_type: .*R1"),
        (lambda: plot(jnp.zeros((2, 3, 3)), SCALAR), ValueError, r"plot_fields: x: .*\(1, _"),
        (lambda: plot(jnp.zeros((5, 1, 3, 3)), SCALAR), ValueError, "plot_fields: x: "),
        (lambda: plot(ONE, SCALAR, columns=0), ValueError, "columns: .*0"),
        (lambda: viz.plot_kernels(BASIS, columns=1.5), TypeError, "plot_kernels: columns: .*1.5"),
        (lambda: viz.plot_kernels(3), TypeError, "plot_kernels: basis: expected a Steerable.*int"),
        (lambda: curve(jnp.sin, smooth()), TypeError, "in_type: .*None"),
        (lambda: curve(jnp.sin, jnp.zeros((1, 5)), LINE, LINE), ValueError, "on a plane"),
        (lambda: curve(SAME, jnp.zeros((1, 5, 5))), ValueError, "other than zero"),
        (lambda: curve(SAME, smooth(), angles=[]), ValueError, "angles: exp"),
        (lambda: curve(VECTOR, jnp.ones((2, 9, 9)), angles=[0.3]), ValueError, "no rotation"),
        (lambda: viz.plot_error_by_angle(), ValueError, "plot_error_by_angle: functions: got none"),
        (lambda: viz.plot_error_by_angle(([1.0], [1.0, 2.0])), ValueError, "as many errors"),
    ],
)  # fmt: skip
def test_bad_input_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_reports_are_drawn_as_bars():
    G = groups.dihedral(4)
    x = np.random.default_rng(0).standard_normal((40, 2)) + np.array([1.0, 0.0])
    report = stats.symmetry_report(x, G.irrep(1, 1), draws=49)
    (axes,) = viz.plot_symmetry_report(report).axes
    bars = axes.patches
    assert [bar.get_width() for bar in bars] == [row.share for row in report.rows]
    edged = [
        row.subgroup for row, bar in zip(report.rows, bars, strict=True) if bar.get_edgecolor()[3]
    ]
    assert edged == [report.largest]
    assert list(axes.lines[0].get_xdata()) == [row.baseline for row in report.rows]
    with pytest.raises(TypeError, match="plot_symmetry_report: report: expected a SymmetryReport"):
        viz.plot_symmetry_report(3)


def test_without_matplotlib_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"plot_kernels: needs matplotlib.*equivax\[viz\]"):
        viz.plot_kernels(BASIS)
