"""A robot at rest, and its image under one orthogonal map of the world: who is whose image."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

_FREE, _BALL, _SLIDE, _HINGE = range(4)
"""Types of joints, as MuJoCo numbers them."""
_JOINT_SENSORS = ("JOINTPOS", "JOINTVEL", "JOINTACTFRC", "JOINTLIMITPOS", "JOINTLIMITVEL",
                  "JOINTLIMITFRC")  # fmt: skip
_ACTUATOR_SENSORS = ("ACTUATORPOS", "ACTUATORVEL", "ACTUATORFRC")
#: Sensors in the frame of a site, or of the world: True for axial vectors, None for numbers.
_SITE_SENSORS = {
    "ACCELEROMETER": False, "VELOCIMETER": False, "FORCE": False, "GYRO": True, "TORQUE": True,
    "TOUCH": None,
}  # fmt: skip
_WORLD_SENSORS = {
    "FRAMEPOS": False, "FRAMELINVEL": False, "FRAMELINACC": False, "FRAMEANGVEL": True,
    "FRAMEANGACC": True, "SUBTREECOM": False, "SUBTREELINVEL": False, "SUBTREEANGMOM": True,
}  # fmt: skip

_PLACES = ("FRAMEPOS", "SUBTREECOM")
_BODIES = (1, 2)
"""Types of objects that are bodies: with the frame of their inertia, or their own."""


def axial(matrix: np.ndarray) -> np.ndarray:
    """How an orthogonal matrix acts on angular velocities, torques and axes of rotation."""
    return np.sign(np.linalg.det(matrix)) * matrix


@dataclasses.dataclass
class Image:
    """What one map of the world does to the coordinates of a robot: matrices, and remarks."""

    joints: np.ndarray
    qpos: np.ndarray
    qvel: np.ndarray
    actuators: np.ndarray | None = None
    sensors: np.ndarray | None = None
    differences: list[str] = dataclasses.field(default_factory=list)
    left_out: list[str] = dataclasses.field(default_factory=list)


class Robot:
    """A model in a pose.

    Args:
        mujoco: The module.
        model: The model.
        qpos: The pose.
        tolerance: How far places may be from their images, and parameters, relatively.
    """

    def __init__(self, mujoco: Any, model: Any, qpos: np.ndarray, tolerance: float) -> None:
        data = mujoco.MjData(model)
        data.qpos[:] = qpos
        mujoco.mj_forward(model, data)
        self.mujoco, self.model, self.data, self.qpos = mujoco, model, data, qpos
        self.tolerance = tolerance
        self.types = np.array(model.jnt_type)
        self.scalar = [j for j in range(model.njnt) if self.types[j] in (_SLIDE, _HINGE)]
        self.joint_names = tuple(self.name("joint", j) for j in self.scalar)
        moving = [b for b in range(1, model.nbody) if model.body_jntnum[b]]
        self.center = np.array(data.xpos[moving[0] if moving else 0])

    @property
    def has_floating_base(self) -> bool:
        """Whether the first joint is free and all others are hinges and slides."""
        return bool(self.types[0] == _FREE) and len(self.scalar) == len(self.types) - 1

    def name(self, kind: str, index: int) -> str:
        """A name for messages."""
        return getattr(self.model, kind)(index).name or f"{kind} {index}"

    def frame(self, body: int) -> np.ndarray:
        """The axes of a body in the world, as columns."""
        return np.array(self.data.xmat[body]).reshape(3, 3)

    def differ(self, one: object, other: object) -> bool:
        """Whether two parameters differ by more than the tolerance, relatively."""
        a, b = np.asarray(one, np.float64), np.asarray(other, np.float64)
        return bool(np.abs(a - b).max(initial=0.0) > self.tolerance * np.abs(b).max(initial=1e-9))

    def image(self, move: np.ndarray, center: np.ndarray, partners: Mapping[str, str]) -> Image:
        """The image under ``p -> move (p - center) + center``.

        Raises:
            ValueError: If a joint has none.
        """
        model = self.model
        bodies, joints = _Pairing(self, move, center, partners).found()
        nq, nv = model.nq, model.nv
        found = Image(np.zeros((len(self.scalar),) * 2), np.zeros((nq, nq)), np.zeros((nv, nv)))
        place = {j: i for i, j in enumerate(self.scalar)}
        for j, (k, sign) in joints.items():
            self._move_joint(found, move, j, k, sign)
            if j in place:
                found.joints[place[k], place[j]] = sign
        self._compare(found, move, center, bodies, joints)
        found.actuators = self._actuators(found, joints)
        still = bool(np.linalg.norm(move @ center - center) <= self.tolerance)
        found.sensors = self._sensors(found, move, bodies, joints, still)
        return found

    def _move_joint(self, found: Image, move: np.ndarray, j: int, k: int, sign: float) -> None:
        model = self.model
        a, b, v, w = (int(x) for x in (*model.jnt_qposadr[[j, k]], *model.jnt_dofadr[[j, k]]))
        kind = self.types[j]
        if kind in (_SLIDE, _HINGE):
            found.qpos[b, a] = found.qvel[w, v] = sign
            if self.differ(sign * self.qpos[a] + 1, self.qpos[b] + 1):
                found.differences.append(
                    f"joint {self.name('joint', j)} rests at {self.qpos[a]:.4g}, but its image "
                    f"{self.name('joint', k)} at {self.qpos[b]:.4g}"
                )
            return
        if kind == _FREE:
            found.qpos[b : b + 3, a : a + 3] = found.qvel[w : w + 3, v : v + 3] = move
            a, b, v, w = a + 3, b + 3, v + 3, w + 3
        # From the frame that turns to its image; the same for the frame in which it turns.
        inner = self.frame(int(model.jnt_bodyid[k])).T @ move
        inner = inner @ self.frame(int(model.jnt_bodyid[j]))
        found.qvel[w : w + 3, v : v + 3] = axial(inner)
        one, other = self.qpos[a : a + 4], self.qpos[b : b + 4]
        outer = _turn(other) @ inner @ _turn(one).T
        found.qpos[b : b + 4, a : a + 4] = _on_quaternions(outer, inner, one, other)

    def _compare(
        self,
        found: Image,
        move: np.ndarray,
        center: np.ndarray,
        bodies: dict[int, int],
        joints: dict[int, tuple[int, float]],
    ) -> None:
        model, data = self.model, self.data

        def note(kind: str, i: int, k: int, what: str, one: Any, other: Any) -> None:
            if self.differ(one, other):
                values = [np.array2string(np.round(x, 6), separator=", ") for x in (one, other)]
                found.differences.append(
                    f"{kind} {self.name(kind, i)} has {what} {values[0]}, but its image "
                    f"{self.name(kind, k)} {values[1]}"
                )

        for b, c in bodies.items():
            note("body", b, c, "mass", model.body_mass[b], model.body_mass[c])
            at = move @ (data.xipos[b] - center) + center
            if np.linalg.norm(at - data.xipos[c]) > self.tolerance:
                note("body", b, c, "centre of mass (mirrored)", at, data.xipos[c])
            note("body", b, c, "inertia (mirrored)", move @ self._inertia(b) @ move.T,
                 self._inertia(c))  # fmt: skip
            if not self._same_geoms(b, c, move, center):
                found.differences.append(
                    f"body {self.name('body', b)} has other geoms than its image "
                    f"{self.name('body', c)}"
                )
        for j, (k, sign) in joints.items():
            v, w = int(model.jnt_dofadr[j]), int(model.jnt_dofadr[k])
            if self.types[j] in (_SLIDE, _HINGE):
                ranges = [_range(model.jnt_range[x], model.jnt_limited[x]) for x in (j, k)]
                note("joint", j, k, "range (with its sign)", np.sort(sign * ranges[0]), ranges[1])
            for what, values in (
                ("armature", model.dof_armature),
                ("damping", model.dof_damping),
                ("friction loss", model.dof_frictionloss),
            ):
                note("joint", j, k, what, values[v], values[w])
            note("joint", j, k, "stiffness", model.jnt_stiffness[j], model.jnt_stiffness[k])

    def _inertia(self, body: int) -> np.ndarray:
        axes = np.array(self.data.ximat[body]).reshape(3, 3)
        return (axes * self.model.body_inertia[body]) @ axes.T

    def _same_geoms(self, b: int, c: int, move: np.ndarray, center: np.ndarray) -> bool:
        model, at = self.model, self.data.geom_xpos
        mine, theirs = (
            [g for g in range(model.ngeom) if model.geom_bodyid[g] == x] for x in (b, c)
        )
        if len(mine) != len(theirs):
            return False
        return all(
            any(
                model.geom_type[g] == model.geom_type[h]
                and not self.differ(model.geom_size[g], model.geom_size[h])
                and np.linalg.norm(move @ (at[g] - center) + center - at[h]) <= self.tolerance
                for h in theirs
            )
            for g in mine
        )

    def _actuators(self, found: Image, joints: dict[int, tuple[int, float]]) -> np.ndarray | None:
        model = self.model
        count = model.nu
        result = np.zeros((count, count))
        kinds = [self.mujoco.mjtTrn(int(t)).name for t in model.actuator_trntype]
        free: dict[int, list[int]] = {}
        for i in range(count):
            if kinds[i] not in ("mjTRN_JOINT", "mjTRN_JOINTINPARENT"):
                found.left_out.append(
                    f"actuator {self.name('actuator', i)} drives no joint but a "
                    f"{kinds[i].removeprefix('mjTRN_').lower()}"
                )
                return None
            free.setdefault(int(model.actuator_trnid[i, 0]), []).append(i)
        for j, mine in free.items():
            k, sign = joints[j]
            if self.types[j] not in (_SLIDE, _HINGE) or len(free.get(k, [])) != len(mine):
                found.left_out.append(
                    f"the actuators of joint {self.name('joint', j)} have no counterparts at its "
                    f"image {self.name('joint', k)}"
                )
                return None
            # Several actuators of one joint correspond in their order.
            for i, n in zip(mine, free[k], strict=True):
                gears = model.actuator_gear[[i, n], 0]
                total = sign * np.sign(gears[0] * gears[1])
                result[n, i] = total
                ranges = [
                    _range(model.actuator_ctrlrange[x], model.actuator_ctrllimited[x])
                    for x in (i, n)
                ]
                for what, one, other in (
                    ("gear", abs(gears[0]), abs(gears[1])),
                    ("range (with its sign)", np.sort(total * ranges[0]), ranges[1]),
                    ("gain", model.actuator_gainprm[i], model.actuator_gainprm[n]),
                    ("bias", model.actuator_biasprm[i], model.actuator_biasprm[n]),
                ):
                    if self.differ(one, other):
                        found.differences.append(
                            f"actuator {self.name('actuator', i)} has {what} {one}, but its image "
                            f"{self.name('actuator', n)} {other}"
                        )
        return result

    def _sensors(
        self,
        found: Image,
        move: np.ndarray,
        bodies: dict[int, int],
        joints: dict[int, tuple[int, float]],
        still: bool,
    ) -> np.ndarray | None:
        model = self.model
        result = np.zeros((model.nsensordata,) * 2)
        names = [self.mujoco.mjtSensor(int(t)).name[7:] for t in model.sensor_type]
        for i, kind in enumerate(names):
            matched = self._sensor(found, move, bodies, joints, kind, i, still)
            if matched is None:
                found.left_out.append(
                    f"sensor {self.name('sensor', i)} ({kind.lower()}) is of no kind whose image "
                    "is known, or has no counterpart"
                )
                return None
            n, block = matched
            rows, columns = (int(model.sensor_adr[x]) for x in (n, i))
            size = len(block)
            result[rows : rows + size, columns : columns + size] = block
        return result

    def _sensor(
        self,
        found: Image,
        move: np.ndarray,
        bodies: dict[int, int],
        joints: dict[int, tuple[int, float]],
        kind: str,
        index: int,
        still: bool,
    ) -> tuple[int, np.ndarray] | None:
        """The sensor that reads the image, and the matrix from this one's reading to its own."""
        model = self.model
        what = int(model.sensor_objid[index])
        same = [
            n for n in range(model.nsensor) if model.sensor_type[n] == model.sensor_type[index]
        ]  # fmt: skip

        def reading(target: int) -> int | None:
            return next((n for n in same if model.sensor_objid[n] == target), None)

        if kind in _JOINT_SENSORS:
            k, sign = joints[what]
            n = reading(k)
            return None if n is None else (n, np.array([[sign]]))
        if kind in _ACTUATOR_SENSORS:
            if found.actuators is None:
                return None
            k = int(np.abs(found.actuators[:, what]).argmax())
            n = reading(k)
            return None if n is None else (n, found.actuators[k : k + 1, what : what + 1])
        if kind in _SITE_SENSORS:
            return self._at_site(move, bodies, same, what, _SITE_SENSORS[kind])
        of_body = int(model.sensor_objtype[index]) in _BODIES and model.sensor_refid[index] < 0
        # Places in the world turn about its origin only if the centre does not move.
        in_world = of_body and (still or kind not in _PLACES)
        if kind in _WORLD_SENSORS and in_world:
            n = reading(bodies[what])
            return None if n is None else (n, axial(move) if _WORLD_SENSORS[kind] else move)
        return None

    def _at_site(
        self,
        move: np.ndarray,
        bodies: dict[int, int],
        same: list[int],
        site: int,
        axis: bool | None,
    ) -> tuple[int, np.ndarray] | None:
        model, data = self.model, self.data
        here = self._site_in_body(site)
        b = int(model.site_bodyid[site])
        c = bodies[b]
        # The image in the frame of the other body.
        there = self.frame(c).T @ move @ self.frame(b) @ here
        for n in same:
            other = int(model.sensor_objid[n])
            if model.site_bodyid[other] != c:
                continue
            if np.linalg.norm(there - self._site_in_body(other)) > self.tolerance:
                continue
            if axis is None:
                return n, np.ones((1, 1))
            frames = [np.array(data.site_xmat[s]).reshape(3, 3) for s in (site, other)]
            inner = frames[1].T @ move @ frames[0]
            return n, axial(inner) if axis else inner
        return None

    def _site_in_body(self, site: int) -> np.ndarray:
        body = int(self.model.site_bodyid[site])
        return self.frame(body).T @ (self.data.site_xpos[site] - self.data.xpos[body])


class _Pairing:
    """Walks down the tree of bodies and pairs each with its image."""

    def __init__(
        self, robot: Robot, move: np.ndarray, center: np.ndarray, partners: Mapping[str, str]
    ) -> None:
        self.robot, self.move, self.center = robot, move, center
        self.partners = {**partners, **{b: a for a, b in partners.items()}}
        self.bodies: dict[int, int] = {0: 0}
        self.joints: dict[int, tuple[int, float]] = {}

    def found(self) -> tuple[dict[int, int], dict[int, tuple[int, float]]]:
        model = self.robot.model
        for body in range(1, model.nbody):  # parents come before their children
            self._pair(body)
        del self.bodies[0]
        return {**self.bodies, 0: 0}, self.joints

    def _pair(self, body: int) -> None:
        robot, model = self.robot, self.robot.model
        parent = self.bodies[int(model.body_parentid[body])]
        used = set(self.bodies.values())
        candidates = [
            c for c in range(1, model.nbody) if model.body_parentid[c] == parent and c not in used
        ]
        wanted = self.partners.get(robot.name("body", body))
        if wanted is not None:
            candidates = [c for c in candidates if robot.name("body", c) == wanted]
        at = self.move @ (robot.data.xipos[body] - self.center) + self.center
        # The nearest centre of mass; at one place the body itself, then the order of the model.
        candidates.sort(
            key=lambda c: (
                round(np.linalg.norm(at - robot.data.xipos[c]) / robot.tolerance), c != body
            )
        )  # fmt: skip
        for c in candidates:
            joints = self._joints(body, c)
            if joints is not None:
                self.bodies[body] = c
                self.joints |= joints
                return
        raise ValueError(
            f"interop.mujoco.symmetry: model_or_path: body {robot.name('body', body)} has no "
            f"image: expected a body of {robot.name('body', parent)} with its joints "
            f"{self._places(body)}, got "
            f"{[robot.name('body', c) for c in candidates] or 'none'}; see center, pose and "
            "partners, or take another mirror"
        )

    def _places(self, body: int) -> str:
        """Joints of a body and where their images should be, for the message."""
        robot = self.robot
        listed = []
        for j in self._of(body):
            anchor, axis = self._image(j)
            listed.append(
                f"{robot.name('joint', j)} at {np.round(anchor, 4).tolist()} along "
                f"{np.round(axis, 4).tolist()}"
            )
        return f"({', '.join(listed)})"

    def _of(self, body: int) -> list[int]:
        first, count = self.robot.model.body_jntadr[body], self.robot.model.body_jntnum[body]
        return list(range(int(first), int(first) + int(count)))

    def _image(self, joint: int) -> tuple[np.ndarray, np.ndarray]:
        data, kind = self.robot.data, self.robot.types[joint]
        anchor = self.move @ (data.xanchor[joint] - self.center) + self.center
        turning = axial(self.move) if kind == _HINGE else self.move
        return anchor, turning @ data.xaxis[joint]

    def _joints(self, body: int, image: int) -> dict[int, tuple[int, float]] | None:
        robot = self.robot
        mine, theirs = self._of(body), self._of(image)
        if len(mine) != len(theirs):
            return None
        found: dict[int, tuple[int, float]] = {}
        for j in mine:
            anchor, axis = self._image(j)
            for k in theirs:
                if robot.types[k] != robot.types[j] or k in {x for x, _ in found.values()}:
                    continue
                apart = np.linalg.norm(anchor - robot.data.xanchor[k])
                along = float(axis @ robot.data.xaxis[k])
                if apart > robot.tolerance and robot.types[j] != _SLIDE:
                    continue
                if robot.types[j] in (_SLIDE, _HINGE) and abs(along) < 1 - robot.tolerance:
                    continue
                found[j] = (k, float(np.sign(along) or 1.0))
                break
            else:
                return None
        return found


def _range(limits: np.ndarray, limited: object) -> np.ndarray:
    """Where a coordinate may go, without limits as far as matters."""
    return np.array(limits) if limited else np.array([-1e9, 1e9])


def _turn(quaternion: np.ndarray) -> np.ndarray:
    return Rotation.from_quat(np.roll(quaternion, -1)).as_matrix()


def _on_quaternions(
    outer: np.ndarray, inner: np.ndarray, one: np.ndarray, other: np.ndarray
) -> np.ndarray:
    """The matrix of ``Q -> outer Q inner^T`` on quaternions; of its two signs, one to other."""
    # SciPy writes the scalar last.
    left, right = (np.roll(Rotation.from_matrix(axial(m)).as_quat(), 1) for m in (outer, inner))
    matrix = _product_from_left(left) @ _product_from_right(right * [1, -1, -1, -1])
    return matrix if matrix @ one @ other > 0 else -matrix


def _product_from_left(q: np.ndarray) -> np.ndarray:
    w, x, y, z = q
    return np.array([[w, -x, -y, -z], [x, w, -z, y], [y, z, w, -x], [z, -y, x, w]])


def _product_from_right(q: np.ndarray) -> np.ndarray:
    w, x, y, z = q
    return np.array([[w, -x, -y, -z], [x, w, z, -y], [y, -z, w, x], [z, y, -x, w]])
