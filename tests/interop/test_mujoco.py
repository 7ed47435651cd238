"""Symmetries of MuJoCo models: what the representations say is what the simulation does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from equivax import groups, interop

mujoco = pytest.importorskip("mujoco", reason="mujoco is no dependency")


@pytest.fixture(autouse=True)
def log_elsewhere(monkeypatch, tmp_path):
    """MuJoCo writes its warnings into the working directory."""
    monkeypatch.chdir(tmp_path)


LEG = """
<body name="{name}" pos="{x} {y} 0">
  <joint name="{name}_hip" type="hinge" axis="1 0 0" range="{low} {high}" damping="0.4"/>
  <geom type="capsule" fromto="0 0 0 0 {out} 0" size="0.03" density="900"/>
  <body name="{name}_shin" pos="0 {out} 0">
    <joint name="{name}_knee" type="hinge" axis="0 {knee} 0" range="-1 2"/>
    <geom type="capsule" fromto="0 0 0 0 0 -0.3" size="0.02"/>
    <site name="{name}_foot" pos="0 0 -0.3"/>
  </body>
</body>
"""
ROBOT = """
<mujoco>
  <option timestep="0.002"/>
  <worldbody>
    <geom type="plane" size="5 5 0.1"/>
    <body name="trunk" pos="0.3 0 0.5">
      <freejoint name="root"/>
      <geom type="box" size="0.3 0.1 0.05"/>
      <site name="imu" pos="0.1 0 0"/>
      {legs}
    </body>
  </worldbody>
  <actuator>{actuators}</actuator>
  <sensor>
    <gyro site="imu"/> <accelerometer site="imu"/>
    {feet} {angles}
    <framelinvel objtype="body" objname="trunk"/>
  </sensor>
</mujoco>
"""
LEGS = ("front_left", "hind_right", "front_right", "hind_left")


def quadruped(stronger: str = "", knee: int = 1) -> str:
    """Two pairs of legs; hips swing to the outside with opposite signs of their coordinate."""
    legs, actuators, feet, angles = "", "", "", ""
    for name in LEGS:
        side = 1 if "left" in name else -1
        legs += LEG.format(
            name=name, x=0.25 if "front" in name else -0.25, y=0.1 * side, out=0.08 * side,
            low=-0.5 if side > 0 else -0.8, high=0.8 if side > 0 else 0.5,
            knee=knee if side > 0 else 1,
        )  # fmt: skip
        gear = 30 if name == stronger else 20
        actuators += f'<motor joint="{name}_hip" gear="{gear}" ctrlrange="-1 1"/>'
        actuators += f'<motor joint="{name}_knee" gear="10" ctrlrange="-1 1"/>'
        feet += f'<touch site="{name}_foot"/>'
        angles = f'<jointpos joint="{name}_knee"/>' + angles
    return ROBOT.format(legs=legs, actuators=actuators, feet=feet, angles=angles)


def assert_simulation_commutes(model, symmetry, steps: int = 20, seed: int = 0) -> None:
    """Simulates a state and its image: images stay images, and sensors read images."""
    rng = np.random.default_rng(seed)
    scalars = symmetry.joints.size
    qpos = np.array(model.qpos0)
    if "orientation" in symmetry.qpos.parts:
        tilt = rng.normal(size=4) * 0.2 + [1, 0, 0, 0]
        qpos[3:7] = tilt / np.linalg.norm(tilt)
    qpos[-scalars:] += rng.uniform(-0.3, 0.3, scalars)
    qvel = rng.normal(size=model.nv)
    control = rng.uniform(-0.5, 0.5, model.nu)
    first = _simulated(model, qpos, qvel, control, steps)
    for g in symmetry.group.elements:
        second = _simulated(
            model,
            symmetry.qpos.transform(qpos, g),
            symmetry.qvel.transform(qvel, g),
            symmetry.actuators.transform(control, g),
            steps,
        )
        for rep, mine, image in zip(
            (symmetry.qpos, symmetry.qvel, symmetry.sensors), first, second, strict=True
        ):
            if rep is not None:
                wanted = rep.transform(mine, g)
                scale = max(1.0, np.abs(wanted).max())
                np.testing.assert_allclose(image, wanted, atol=1e-6 * scale)


def _simulated(model, qpos, qvel, control, steps):
    data = mujoco.MjData(model)
    data.qpos[:], data.qvel[:], data.ctrl[:] = qpos, qvel, control
    for _ in range(steps):
        mujoco.mj_step(model, data)
    mujoco.mj_forward(model, data)
    return np.array(data.qpos), np.array(data.qvel), np.array(data.sensordata)


def test_left_and_right_of_a_quadruped():
    model = mujoco.MjModel.from_xml_string(quadruped())
    found = interop.mujoco.symmetry(model)
    assert found.group.order == 2
    assert found.differences == ()
    assert found.left_out == ()
    assert found.joint_names[:2] == ("front_left_hip", "front_left_knee")
    mirror = found.group.generators[0]
    # Hips turn about x, which a mirror of y reverses; knees about y, which it does not.
    wanted = np.zeros((8, 8))
    for i, j in enumerate([4, 5, 6, 7, 0, 1, 2, 3]):
        wanted[j, i] = -1 if i % 2 == 0 else 1
    np.testing.assert_allclose(found.joints(mirror), wanted, atol=1e-12)
    np.testing.assert_allclose(found.actuators(mirror), wanted, atol=1e-12)
    assert found.qpos.parts == {
        "position": slice(0, 3), "orientation": slice(3, 7), "joints": slice(7, 15),
    }  # fmt: skip
    assert found.sensors.size == model.nsensordata == 17
    assert_simulation_commutes(model, found)


def test_both_mirrors_of_a_quadruped():
    model = mujoco.MjModel.from_xml_string(quadruped())
    # The knees bend backwards, front and hind ones alike: only their limits tell.
    found = interop.mujoco.symmetry(model, ["y", np.diag([-1.0, 1.0, 1.0])], check="off")
    assert found.group.order == 4
    assert any("_knee has range" in text for text in found.differences)


def test_axial_vectors_of_a_group_of_the_plane():
    # A vertical mirror keeps the height of a vector and turns yaw around.
    cross = '<body pos="{} {} 0"><joint axis="0 0 1"/><geom size="0.1"/></body>'
    legs = "".join(cross.format(x, y) for x, y in [(1, 0), (0, 1), (-1, 0), (0, -1)])
    body = f'<body><freejoint/><geom size="0.2"/>{legs}</body>'
    xml = f"<mujoco><worldbody>{body}</worldbody></mujoco>"
    found = interop.mujoco.symmetry(xml, groups.dihedral(4))
    for g in found.group.elements:
        axial = np.linalg.det(found.vector(g)) * found.vector(g)
        np.testing.assert_allclose(found.vector.pseudo()(g), axial, atol=1e-12)
        np.testing.assert_allclose(found.qvel(g)[3:6, 3:6], axial, atol=1e-12)


def test_what_does_not_match_is_named():
    with pytest.warns(interop.mujoco.AsymmetryWarning, match="has gear 30"):
        interop.mujoco.symmetry(quadruped(stronger="front_left"))
    with pytest.raises(ValueError, match=r"expected a symmetric robot, but actuator .* gear"):
        interop.mujoco.symmetry(quadruped(stronger="hind_left"), check="raise")
    with pytest.raises(ValueError, match=r"body front_left has no image.*front_left_hip at"):
        interop.mujoco.symmetry(quadruped(), np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]]))


def test_signs_follow_the_axes():
    found = interop.mujoco.symmetry(quadruped(knee=-1), check="off")
    mirror = found.group.generators[0]
    assert found.joints(mirror)[5, 1] == pytest.approx(-1)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"mirror": "left"}, "mirror: expected"),
        ({"mirror": np.eye(2)}, r"mirror: expected .*orthogonal \(3, 3\)"),
        ({"mirror": groups.so2()}, "mirror: expected"),
        ({"check": "maybe"}, "check: expected"),
        ({"pose": "sitting"}, "pose: expected"),
        ({"pose": [1.0]}, "pose: expected 15 positions"),
    ],
)
def test_arguments_are_checked(arguments, message):
    with pytest.raises(ValueError, match=f"interop.mujoco.symmetry: {message}"):
        interop.mujoco.symmetry(quadruped(), **arguments)


@pytest.mark.slow
class TestGymnasium:
    """The robots that everybody has."""

    @staticmethod
    def path(name: str) -> str:
        gymnasium = pytest.importorskip("gymnasium", reason="gymnasium is no dependency")
        return str(Path(gymnasium.__file__).parent / "envs/mujoco/assets" / name)

    def test_ant_has_the_symmetry_of_a_square(self):
        found = interop.mujoco.symmetry(self.path("ant.xml"), groups.dihedral(4), check="off")
        assert found.group is groups.dihedral(4)
        assert found.joints.is_signed_permutation
        assert found.joints.size == 8
        assert found.actuators.size == 8
        # Its ankles are at rest at the edge of their limits, which the contact solver feels.
        model = mujoco.MjModel.from_xml_path(self.path("ant.xml"))
        model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_CONSTRAINT
        model.qpos0[2] = 2.0
        assert_simulation_commutes(model, found)

    def test_half_cheetah_is_its_own_mirror_image(self):
        found = interop.mujoco.symmetry(self.path("half_cheetah.xml"))
        assert found.group.order == 2
        assert found.joints.is_trivial
        assert found.joints.size == 9
        assert found.actuators.size == 6

    def test_humanoid_is_not_quite_symmetric(self):
        with pytest.warns(interop.mujoco.AsymmetryWarning) as caught:
            found = interop.mujoco.symmetry(self.path("humanoid.xml"))
        assert "right_knee has stiffness 0" in str(caught[0].message)
        assert found.joints.size == 17
        assert found.actuators.size == 17
        assert found.joints.is_signed_permutation


def test_one_sentence_says_what_is_missing():
    code = "import sys; sys.modules['mujoco'] = None\nimport equivax\n"
    code += "equivax.interop.mujoco.symmetry('robot.xml')"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (
        "interop.mujoco.symmetry needs mujoco, which is not installed: pip install mujoco"
        in (run.stderr.splitlines()[-1])
    )
