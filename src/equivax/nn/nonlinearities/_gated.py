"""`GatedNonlinearity`: invariant fields open and shut the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ...representations import Representation, direct_sum, trivial
from .._fields import field_sizes
from .._module import AbstractModule, channel_axis, on_channels, representation_of
from .._plain import plain_callable, plain_layer


class GatedNonlinearity(AbstractModule):
    """``y_i = x_i phi(s_i - b_i)``: the i-th gated field uses the i-th gate, in field order.

    Law: ``f(rho(g) x) = rho(g) f(x)``, since gates are invariant (Weiler et al. 2018, 3D Steerable
    CNNs, section 2.3). The gated fields may be of any kind.

    Shapes: ``(..., gates + gated) -> (..., gated)``, or unchanged with ``drop_gates=False``.
    """

    bias: Float[Array, " gates"] | None
    in_type: Any = eqx.field(static=True)
    out_type: Any = eqx.field(static=True)
    gates: tuple[bool, ...] = eqx.field(static=True)
    drop_gates: bool = eqx.field(static=True)
    function: Callable[[Array], Array] = eqx.field(static=True)

    def __init__(
        self,
        in_type: Any,
        gates: Sequence[bool | str] | None = None,
        *,
        drop_gates: bool = True,
        function: Callable[[Array], Array] = jax.nn.sigmoid,
        use_bias: bool = True,
        dtype: Any = None,
    ) -> None:
        """Pairs gates with gated fields.

        Args:
            in_type: A type with as many gates as gated fields; see `for_fields`.
            gates: Per field True or ``"gate"``, False or ``"gated"``. Default: the first half of
                the fields are gates.
            drop_gates: Whether the gates are left out of the output; else they keep their places
                with their transformed values.
            function: ``phi``, such as `jax.nn.sigmoid`.
            use_bias: Whether to learn one bias a gate (0 at the start).
            dtype: Of the parameters; JAX's default float if None.

        Raises:
            ValueError: If numbers of gates and gated fields differ or a gate is not trivial.
            TypeError: If ``function`` is not callable.
        """
        rep = representation_of(in_type, "GatedNonlinearity", "in_type")
        if not callable(function):
            raise TypeError(
                f"GatedNonlinearity: function: expected a callable such as jax.nn.sigmoid, got "
                f"{function!r}"
            )
        fields = rep.summands
        marks = _marks(gates, len(fields))
        for index, (field, is_gate) in enumerate(zip(fields, marks, strict=True)):
            if is_gate and not (field.is_trivial and field.size == 1):
                raise ValueError(
                    f"GatedNonlinearity: gates: field {index} ({field.name}) is a gate but not "
                    "one trivial channel; gates must be invariant numbers"
                )
        count = sum(marks)
        if 2 * count != len(fields):
            raise ValueError(
                f"GatedNonlinearity: gates: expected as many gates as gated fields, got {count} "
                f"gates and {len(fields) - count} gated fields"
            )
        dtype = jnp.result_type(float) if dtype is None else dtype
        self.bias = jnp.zeros((count,), dtype) if use_bias else None
        self.in_type = in_type
        self.gates = marks
        self.drop_gates = drop_gates
        self.function = function
        gated = [field for field, is_gate in zip(fields, marks, strict=True) if not is_gate]
        self.out_type = direct_sum(gated) if drop_gates else in_type

    @classmethod
    def for_fields(cls, fields: Representation, **options: Any) -> GatedNonlinearity:
        """A layer whose output is ``fields``: its input has one gate per field in front."""
        rep = representation_of(fields, "GatedNonlinearity", "fields")
        return cls(len(rep.summands) * trivial(rep.group) + rep, **options)

    def _forward(self, x: Float[Array, "..."], key: Any = None) -> Float[Array, "..."]:
        gate_channels, gate_of = self._plan()
        bias = 0.0 if self.bias is None else self.bias

        def act(v: Array) -> Array:
            opened = self.function(v[..., gate_channels] - bias)
            kept, values = self._kept(), self._values(gate_of)
            # Gates themselves, if kept, become their transformed value: factor times one.
            ones = jnp.ones((*v.shape[:-1], 1), v.dtype)
            extended = jnp.concatenate([v, ones], axis=-1)[..., kept]
            return extended * opened[..., values]

        return on_channels(act, x, self.in_type)

    def _plan(self) -> tuple[np.ndarray, np.ndarray]:
        """Channels of the gates, and per channel the number of the gate it uses."""
        sizes = field_sizes(representation_of(self.in_type, "GatedNonlinearity", "in_type"))
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        is_gate = np.array(self.gates)
        number = np.where(is_gate, np.cumsum(is_gate) - 1, np.cumsum(~is_gate) - 1)
        return starts[is_gate], np.repeat(number, sizes)

    def _kept(self) -> np.ndarray:
        """Source channel of each output channel; the channel past the end is the constant one."""
        sizes = field_sizes(representation_of(self.in_type, "GatedNonlinearity", "in_type"))
        channel_is_gate = np.repeat(np.array(self.gates), sizes)
        channels = np.arange(len(channel_is_gate))
        if self.drop_gates:
            return channels[~channel_is_gate]
        return np.where(channel_is_gate, len(channels), channels)

    def _values(self, gate_of: np.ndarray) -> np.ndarray:
        sizes = field_sizes(representation_of(self.in_type, "GatedNonlinearity", "in_type"))
        channel_is_gate = np.repeat(np.array(self.gates), sizes)
        return gate_of[~channel_is_gate] if self.drop_gates else gate_of

    def export(self) -> eqx.nn.Lambda:
        """A plain function with the biases as constants."""
        gate_channels, gate_of = self._plan()
        return plain_layer(
            _gated,
            jax.tree_util.Partial(plain_callable(self.function)),
            0.0 if self.bias is None else self.bias,
            jnp.asarray(gate_channels),
            jnp.asarray(self._kept()),
            jnp.asarray(self._values(gate_of)),
            channel_axis(self.in_type),
        )


def _gated(function, bias, gate_channels, kept, values, axis, x):
    v = jnp.moveaxis(x, axis, -1)
    opened = function(v[..., gate_channels] - bias)
    extended = jnp.concatenate([v, jnp.ones((*v.shape[:-1], 1), v.dtype)], axis=-1)[..., kept]
    return jnp.moveaxis(extended * opened[..., values], -1, axis)


def _marks(gates: Sequence[bool | str] | None, count: int) -> tuple[bool, ...]:
    if gates is None:
        return tuple(i < count // 2 for i in range(count))
    names = {"gate": True, "gated": False, True: True, False: False}
    if len(gates) != count or any(g not in names for g in gates):
        raise ValueError(
            f"GatedNonlinearity: gates: expected 'gate' or 'gated' for each of {count} fields, "
            f"got {list(gates)}"
        )
    return tuple(names[g] for g in gates)
