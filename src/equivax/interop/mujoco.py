"""Symmetries of robots, read from MuJoCo models: which joint is whose mirror image.

A symmetry of the world, an orthogonal matrix R about a centre c, takes a body to the body whose
joints lie at the images of its own: anchors go to ``R (p - c) + c``, axes of slides to ``R a``,
axes of hinges to ``det(R) R a``, since rotations are axial. That pairs the joints and gives each
pair a sign; actuators and sensors follow their joints and sites.
"""

from __future__ import annotations

import dataclasses
import os
import warnings
from collections.abc import Mapping

import numpy as np
from scipy.spatial.transform import Rotation

from .._arguments import choice, generator_list, number, real_array, refuse, type_of
from ..groups import Group, from_generators
from ..representations import Representation, direct_sum
from ._needed import Foreign, needed
from ._robots import Robot

_AXES = {"x": 0, "y": 1, "z": 2}


class AsymmetryWarning(UserWarning):
    """A model is symmetric in its geometry, but not in all its parameters."""


@dataclasses.dataclass(frozen=True)
class RobotSymmetry:
    """How the symmetries of a robot act on its coordinates.

    Attributes:
        group: The group; it acts on the world by `vector`.
        vector: Vectors of the world: forces, linear velocities. `vector.pseudo()` is angular ones.
        joints: Hinges and slides, in the order of the model.
        joint_names: Their names.
        qpos: All positions. A floating base has the parts "position" and "orientation", then come
            the "joints"; positions count from the centre of the symmetry.
        qvel: All velocities, with the parts "linear", "angular" and "joints" for a floating base.
        actuators: Controls, or None if some actuator drives no joint.
        sensors: Readings, or None if there is none or one does not follow.
        differences: What is not symmetric, one sentence each.
        left_out: Why there are no actuators or sensors, one sentence each.
    """

    group: Group
    vector: Representation
    joints: Representation
    joint_names: tuple[str, ...]
    qpos: Representation
    qvel: Representation
    actuators: Representation | None
    sensors: Representation | None
    differences: tuple[str, ...]
    left_out: tuple[str, ...]


def symmetry(
    model_or_path: object,
    mirror: object = "y",
    *,
    center: object = None,
    pose: object = None,
    partners: Mapping[str, str] | None = None,
    tolerance: float | int = 1e-3,
    check: str = "warn",
) -> RobotSymmetry:
    """How mirrors and rotations act on the joints of a robot.

    Args:
        model_or_path: A `mujoco.MjModel`, the path of a model, or its XML as text.
        mirror: The symmetry of the world. "x", "y" or "z" is the mirror that negates this
            coordinate: "y" exchanges left and right where x points forward. Or an orthogonal
            (3, 3) matrix, several of them, or a group, which acts by its standard representation
            (on x and y, if that is of size 2).
        center: A point that stays where it is; by default the origin of the first body.
        pose: Positions at which the robot is symmetric: a `qpos`, or the name of a keyframe; by
            default those of the model.
        partners: Names of bodies and of their images, where several lie at one place.
        tolerance: How far anchors may be from their images, in the unit of length of the model;
            and by how much else may differ, relatively.
        check: What happens if masses, inertias, geometries, limits or other parameters do not
            match: "warn", "raise" or "off". They are listed in `differences` in any case.

    Raises:
        ValueError: If a joint has no image; it is named.
        ImportError: If mujoco is missing.
        AsymmetryWarning: Is warned of, see `check`.
    """
    caller = "interop.mujoco.symmetry"
    choice(check, caller, "check", ("warn", "raise", "off"))
    slack = number(tolerance, caller, "tolerance", above=0)
    model = _model(model_or_path, caller)
    group, vector = _symmetries(mirror, caller)
    robot = Robot(needed("mujoco", caller), model, _qpos(model, pose, caller), slack)
    middle = robot.center if center is None else real_array(center, caller, "center")
    names = {} if partners is None else dict(type_of(partners, caller, "partners", Mapping))
    moves = [robot.image(vector(g), middle, names) for g in group.generators]
    differences = tuple(dict.fromkeys(text for move in moves for text in move.differences))
    if differences and check != "off":
        listed = "; ".join(differences)
        message = f"{caller}: model_or_path: expected a symmetric robot, but {listed}"
        if check == "raise":
            raise ValueError(message)
        warnings.warn(message, AsymmetryWarning, stacklevel=2)

    def acting(part: str, name: str) -> Representation | None:
        matrices = [getattr(move, part) for move in moves]
        if any(matrix is None or not len(matrix) for matrix in matrices):
            return None
        return Representation.from_generators(group, matrices, name)

    joints = acting("joints", "joints")
    if joints is None:
        raise ValueError(f"{caller}: model_or_path: expected a robot with joints, got none")
    qpos, qvel = acting("qpos", "qpos"), acting("qvel", "qvel")
    if robot.has_floating_base:
        base = Representation.from_generators(
            group, [move.qpos[3:7, 3:7] for move in moves], "quaternion"
        )
        spin = Representation.from_generators(
            group, [move.qvel[3:6, 3:6] for move in moves], "angular"
        )
        qpos = direct_sum({"position": vector, "orientation": base, "joints": joints})
        qvel = direct_sum({"linear": vector, "angular": spin, "joints": joints})
    left_out = tuple(dict.fromkeys(text for move in moves for text in move.left_out))
    return RobotSymmetry(
        group, vector, joints, robot.joint_names, _whole(qpos), _whole(qvel),
        acting("actuators", "actuators"), acting("sensors", "sensors"), differences, left_out,
    )  # fmt: skip


def _whole(rep: Representation | None) -> Representation:
    if rep is None:
        raise AssertionError("a robot with joints has positions and velocities")
    return rep


def _model(value: object, caller: str) -> Foreign:
    mujoco = needed("mujoco", caller)
    if isinstance(value, mujoco.MjModel):
        return value
    if isinstance(value, str) and value.lstrip().startswith("<"):
        return mujoco.MjModel.from_xml_string(value)
    if isinstance(value, (str, os.PathLike)):
        return mujoco.MjModel.from_xml_path(os.fspath(value))
    refuse(TypeError, caller, "model_or_path", "a mujoco.MjModel, a path or XML", value)


def _qpos(model: Foreign, pose: object, caller: str) -> np.ndarray:
    if pose is None:
        return np.array(model.qpos0)
    if isinstance(pose, str):
        names = [model.key(k).name for k in range(model.nkey)]
        if pose not in names:
            takes = f"positions, or the name of a keyframe of the model (it has {names or 'none'})"
            refuse(ValueError, caller, "pose", takes, pose)
        return np.array(model.key(pose).qpos)
    found = real_array(pose, caller, "pose")
    if found.shape != (model.nq,):
        refuse(ValueError, caller, "pose", f"{model.nq} positions", pose)
    return found


def _symmetries(mirror: object, caller: str) -> tuple[Group, Representation]:
    """The group, and its action on the world."""
    takes = '"x", "y", "z", an orthogonal (3, 3) matrix, a list of those, or a finite group'
    if isinstance(mirror, Group):
        if mirror.order is None or mirror.standard.size not in (2, 3):
            refuse(ValueError, caller, "mirror", takes, mirror)
        if mirror.standard.size == 3:
            return mirror, mirror.standard
        # One summand, since `pseudo` takes the determinant of each: that of space is wanted.
        space = mirror.standard + mirror.trivial
        matrices = [space(g) for g in mirror.generators]
        return mirror, Representation.from_generators(mirror, matrices, "vector")
    listed = (
        [mirror] if _is_one(_unpacked(mirror)) else generator_list(mirror, caller, "mirror", takes)
    )
    matrices = []
    for one in listed:
        if isinstance(one, str):
            signs = np.ones(3)
            signs[_AXES[choice(one, caller, "mirror", _AXES)]] = -1
            matrices.append(np.diag(signs))
            continue
        matrix = real_array(_unpacked(one), caller, "mirror", takes)
        if matrix.shape != (3, 3) or np.abs(matrix @ matrix.T - np.eye(3)).max() > 1e-6:
            refuse(ValueError, caller, "mirror", takes, one)
        matrices.append(matrix)
    mirrors = len(matrices) == 1 and np.linalg.det(matrices[0]) < 0
    group = from_generators(matrices, "mirror" if mirrors else None)
    return group, group.defining


def _is_one(mirror: object) -> bool:
    """Whether it is one letter or matrix, and not several."""
    if isinstance(mirror, np.ndarray):
        return mirror.ndim == 2
    if isinstance(mirror, str):
        return True
    rows = mirror if isinstance(mirror, (list, tuple)) else []
    return bool(rows) and all(np.ndim(row) == 1 for row in rows)


def _unpacked(value: object) -> object:
    return value.as_matrix() if isinstance(value, Rotation) else value
