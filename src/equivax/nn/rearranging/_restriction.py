"""Layers that compute nothing: `Identity`, and `Restriction` to fewer symmetries."""

from __future__ import annotations

import equinox as eqx
from jaxtyping import Array, Float, PRNGKeyArray

from ...fields import IrrepTensor, Type
from ...groups import GroupElement, Subgroup
from .._core._module import AbstractModule, representation_of


class Identity(AbstractModule):
    """``y = x``, with a type. Shapes: unchanged."""

    in_type: Type = eqx.field(static=True)
    out_type: Type = eqx.field(static=True)

    def __init__(self, in_type: Type) -> None:
        """Stores the type.

        Args:
            in_type: A type of any fields.

        Raises:
            TypeError: If ``in_type`` is no type.
        """
        representation_of(in_type, "Identity", "in_type")
        self.in_type = in_type
        self.out_type = in_type

    def _forward(
        self, x: Float[Array, "..."], key: PRNGKeyArray | None = None
    ) -> Float[Array, "..."]:
        return x

    def _forward_irreps(self, x: IrrepTensor, key: PRNGKeyArray | None = None) -> IrrepTensor:
        return x

    def export(self) -> eqx.nn.Identity:
        """`equinox.nn.Identity`."""
        return eqx.nn.Identity()


class Restriction(AbstractModule):
    """``y = x``, from here on under fewer symmetries.

    Law: ``f(rho(h) x) = Res_H rho(h) f(x)`` for ``h`` in the subgroup H. `Disentangle` behind it
    splits the fields that fall apart.

    Shapes: unchanged.
    """

    in_type: Type = eqx.field(static=True)
    out_type: Type = eqx.field(static=True)
    subgroup: Subgroup = eqx.field(static=True)

    def __init__(self, in_type: Type, subgroup: object) -> None:
        """Restricts the type.

        Args:
            in_type: A type of any fields.
            subgroup: A `Subgroup` of its group, or whatever ``group.subgroup`` takes: a peer's id
                such as ``(None, 4)``, generators, a name, a group in its usual place.

        Raises:
            ValueError: If that is no subgroup.
            TypeError: If ``in_type`` is no type, or ``subgroup`` nothing that names a subgroup.
        """
        group = representation_of(in_type, "Restriction", "in_type").group
        try:
            inner = group.subgroup(subgroup)
        except (ValueError, TypeError) as error:
            raise type(error)(
                f"Restriction: subgroup: expected a subgroup of {group.name}, got {subgroup!r}: "
                f"{error}"
            ) from None
        self.in_type = in_type
        self.out_type = in_type.restrict(inner)
        self.subgroup = inner

    def embedding(self, element: GroupElement) -> GroupElement:
        """The element of the group of ``in_type`` that an element of the subgroup is."""
        return self.subgroup.embedding(element)

    def _forward(
        self, x: Float[Array, "..."], key: PRNGKeyArray | None = None
    ) -> Float[Array, "..."]:
        return x

    def export(self) -> eqx.nn.Identity:
        """`equinox.nn.Identity`."""
        return eqx.nn.Identity()
