"""`TypeBasis`: the kernels between two types, one parameter array per pair of field kinds."""

from __future__ import annotations

import dataclasses
import functools
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, Unpack, overload, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Shaped

from .._arguments import arrays as checks
from .._arguments import flag, integer, refuse
from .._values import AbstractValue
from ..hom import UnusedIrrepsWarning, at_least_float32, widened
from ..representations import Representation, as_representation
from ..spaces import GSpace
from ._parts import BasisFilter, Recipe
from ._steerable_basis import ACCEPTED, pair_basis
from ._type_elements import Pair, fan, type_attributes, type_names
from .expansion._field_order import (
    Fields,
    assemble,
    by_kinds,
    fields_of,
    take_apart,
    to_fields,
    to_kinds,
    turned_kinds,
)
from .expansion._products import (
    Form,
    best_form,
    contract,
    in_coordinates,
    project_coefficients,
    sampled,
    unsampled,
)
from .expansion._tables import coordinates
from .recipes._arguments import check_group, check_space
from .recipes._options import HarmonicOptions, Options, kernel_options


@runtime_checkable
class TypeOnSpace(Protocol):
    """Fields on a space, such as a field type."""

    @property
    def space(self) -> GSpace:
        """What is acted on."""
        ...

    @property
    def representation(self) -> Representation:
        """A sum whose summands are the fields."""
        ...


class TypeBasis(AbstractValue):
    """The kernels between two field types that commute with their group.

    Fields of one kind (equal representations, wherever they stand) share a `SteerableBasis`, and
    their coefficients are one array ``(output fields, input fields, dim)`` under a key such as
    ``"regular -> irrep(1)"``. Immutable, hashable by value, a pytree without leaves.

    Examples:
        >>> import equivax as evx
        >>> from types import SimpleNamespace as Type
        >>> space = evx.spaces.rot_on_r2(4)
        >>> scalar = Type(space=space, representation=space.trivial)
        >>> regular = Type(space=space, representation=8 * space.regular)
        >>> basis = evx.kernels.TypeBasis(scalar, regular, 3)
        >>> basis.shapes
        {'trivial -> regular': (8, 1, 6)}
    """

    space: GSpace
    in_rep: Representation
    out_rep: Representation
    recipe: Recipe
    _filter: BasisFilter | None
    _allow_dependent: bool = dataclasses.field(compare=False)

    def __init__(
        self,
        in_type: TypeOnSpace,
        out_type: TypeOnSpace,
        kernel_size: int | Sequence[int] | None,
        basis: str | Options = "harmonic",
        *,
        allow_dependent: bool = False,
        warn_unused: bool = True,
        caller: str = "TypeBasis",
        **options: Unpack[HarmonicOptions],
    ) -> None:
        """Solves all pairs of kinds.

        Args:
            in_type: What has a ``space`` and a ``representation`` whose summands are fields.
            out_type: Likewise, on the same space.
            kernel_size: Taps per axis, one integer or one per axis; None if the basis is a
                `Differential` that says how many.
            basis: ``"harmonic"``, ``"grid"``, or a record of options: `Harmonic`, `Grid`,
                `Differential`.
            allow_dependent: Accept linearly dependent elements.
            warn_unused: Whether to warn if irreps of the input reach no output.
            caller: Who asks, for messages.
            **options: Those of `Harmonic`, in short.

        Raises:
            ValueError: If the spaces differ, an option does not fit, or only the zero kernel
                commutes.
            TypeError: If a type is no type, or an option is unknown.
        """
        space = _space_of(caller, "in_type", in_type)
        other = _space_of(caller, "out_type", out_type)
        if space != other:
            raise ValueError(
                f"{caller}: out_type: expected a type on the space of in_type, {space!r}, got one "
                f"on {other!r}"
            )
        in_rep = as_representation(in_type.representation, "in_type")
        out_rep = as_representation(out_type.representation, "out_type")
        for rep in (in_rep, out_rep):
            check_group(caller, space, rep)
        record = kernel_options(caller, space, basis, options)
        recipe = record.recipe(caller, space, kernel_size)
        self._fill(
            space=space,
            in_rep=in_rep,
            out_rep=out_rep,
            recipe=recipe,
            _filter=record.basis_filter,
            _allow_dependent=flag(allow_dependent, caller, "allow_dependent"),
        )
        self._check(caller, flag(warn_unused, caller, "warn_unused"))

    @classmethod
    def from_recipe(
        cls,
        space: GSpace,
        in_rep: Representation,
        out_rep: Representation,
        recipe: Recipe,
        basis_filter: BasisFilter | None = None,
        allow_dependent: bool = False,
        warn_unused: bool = True,
        caller: str = "TypeBasis",
    ) -> TypeBasis:
        """From another description of the parts, such as differential operators."""
        self = object.__new__(cls)
        self._fill(
            space=space,
            in_rep=in_rep,
            out_rep=out_rep,
            recipe=recipe,
            _filter=basis_filter,
            _allow_dependent=flag(allow_dependent, caller, "allow_dependent"),
        )
        self._check(caller, flag(warn_unused, caller, "warn_unused"))
        return self

    def _check(self, caller: str, warn_unused: bool) -> None:
        try:
            found = self.pairs
        except ValueError as error:  # a layer does not take what a basis does
            text = str(error)
            if caller != "TypeBasis":
                text = text.removesuffix(ACCEPTED)
            raise ValueError(f"{caller}: basis: {text}") from None
        if not found:
            raise ValueError(
                f"{caller}: only the zero kernel commutes from in_type {self.in_rep!r} to out_type "
                f"{self.out_rep!r} on {self.space!r} with {self.recipe}"
                + (" and the basis_filter" if self._filter is not None else "")
                + "; larger kernels, higher frequencies or other fields may connect them"
            )
        # What invariants leave out is the point of them.
        if warn_unused and not self.out_rep.is_trivial and self.unused_in:
            _warn_unused(self, caller)

    def __repr__(self) -> str:
        return (
            f"TypeBasis({self.space!r}: {self.in_rep.name} -> {self.out_rep.name}, {self.recipe}, "
            f"dim {self.dim})"
        )

    # ---- facts -------------------------------------------------------------------------------

    @property
    def kernel(self) -> tuple[int, ...]:
        """Taps per spatial axis."""
        return self.recipe.kernel

    @functools.cached_property
    def in_fields(self) -> Fields:
        """The kinds of the input's fields and where they stand."""
        return fields_of(self.in_rep)

    @functools.cached_property
    def out_fields(self) -> Fields:
        """The kinds of the output's fields and where they stand."""
        return fields_of(self.out_rep)

    @functools.cached_property
    def pairs(self) -> tuple[Pair, ...]:
        """All pairs of kinds that some kernel connects: by output kind, then input kind."""
        space, recipe, basis_filter = self.space, self.recipe, self._filter
        found = []
        for o, out_kind in enumerate(self.out_fields.kinds):
            for i, in_kind in enumerate(self.in_fields.kinds):
                basis = pair_basis(
                    space, in_kind, out_kind, recipe, basis_filter, self._allow_dependent
                )
                if basis.dim:
                    found.append(
                        Pair(
                            key=f"{self.in_fields.labels[i]} -> {self.out_fields.labels[o]}",
                            in_kind=i,
                            out_kind=o,
                            in_fields=self.in_fields.positions[i],
                            out_fields=self.out_fields.positions[o],
                            basis=basis,
                        )
                    )
        return tuple(found)

    @functools.cached_property
    def shapes(self) -> dict[str, tuple[int, int, int]]:
        """Key to the shape of its coefficients."""
        return {pair.key: pair.shape for pair in self.pairs}

    @functools.cached_property
    def standard_keys(self) -> dict[str, str]:
        """Key to the key with standard names of irreps and regular fields, for files."""
        into, out = self.in_fields.standard_labels, self.out_fields.standard_labels
        return {pair.key: f"{into[pair.in_kind]} -> {out[pair.out_kind]}" for pair in self.pairs}

    @functools.cached_property
    def dim(self) -> int:
        """Number of coefficients."""
        return sum(o * i * n for o, i, n in self.shapes.values())

    @functools.cached_property
    def unused_in(self) -> tuple[str, ...]:
        """Names of irreps of the input that reach no output."""
        return self._missing(self.in_rep, 0)

    @functools.cached_property
    def unreached_out(self) -> tuple[str, ...]:
        """Names of irreps of the output that no input reaches: always zero."""
        return self._missing(self.out_rep, 1)

    def _missing(self, rep: Representation, side: int) -> tuple[str, ...]:
        present = set()
        for pair in self.pairs:
            numbers = pair.basis.data.out_type if side else pair.basis.data.in_type
            present |= {pair.basis.irrep_types[side][n] for n in np.unique(numbers)}
        group = self.space.group
        return tuple(group.irrep_data(i).name for i in rep.multiplicities if i not in present)

    def fan(self) -> dict[str, Float[np.ndarray, " dim"]]:
        """What initialisation needs: ``T(o) B(t, o)`` for every element of every pair.

        For an element into an output irrep o from an input irrep of type t, ``T(o)`` is the number
        of types with an element into o, and ``B(t, o)`` the number of elements of type t into o,
        over all fields, copies, parts. With variances ``1 / (T B)`` those into o sum to 1.

        Returns:
            Key to an array ``(dim,)``.
        """
        return fan(self.pairs, tuple(self.in_rep.multiplicities))

    # ---- single elements ---------------------------------------------------------------------

    @overload
    def attributes(self) -> list[dict[str, Any]]: ...

    @overload
    def attributes(self, i: int) -> dict[str, Any]: ...

    def attributes(self, i: int | None = None) -> list[dict[str, Any]] | dict[str, Any]:
        """Attributes of every coefficient, or of the ``i``-th in the order of `names`.

        Besides those of `SteerableBasis.attributes`: ``in_field, out_field`` (positions),
        ``in_irrep_position, out_irrep_position`` (over the irreps of the whole type), ``key`` (of
        the array), ``name``.
        """
        if i is not None:
            i = integer(i, "attributes", "i")
            if not -self.dim <= i < self.dim:
                raise IndexError(f"attributes: expected an element in 0..{self.dim - 1}, got {i}")
            return self.attributes()[i]
        return type_attributes(self.pairs, self.in_fields, self.out_fields, self._names)

    @functools.cached_property
    def _names(self) -> tuple[str, ...]:
        return type_names(self.pairs, self.in_fields, self.out_fields)

    def names(self) -> tuple[str, ...]:
        """A readable, stable, unique name of every coefficient: the pairs' arrays, raveled."""
        return self._names

    @functools.cached_property
    def _by_name(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self._names)}

    def index(self, name: str) -> int:
        """Position of a name in `names`.

        Raises:
            KeyError: If there is none.
        """
        if not isinstance(name, str) or name not in self._by_name:
            raise KeyError(f"index: expected a name such as {self._names[0]!r}, got {name!r}")
        return self._by_name[name]

    # ---- kernels -----------------------------------------------------------------------------

    def _checked(self, coeffs: Mapping[str, ArrayLike]) -> dict[str, Array]:
        if not isinstance(coeffs, Mapping) or set(coeffs) != set(self.shapes):
            got = list(coeffs) if isinstance(coeffs, Mapping) else type(coeffs).__name__
            raise ValueError(f"coeffs: expected one array each for {list(self.shapes)}, got {got}")
        arrays = {
            key: checks.array(coeffs[key], "TypeBasis", f"coeffs[{key!r}]") for key in self.shapes
        }
        for key, shape in self.shapes.items():
            if arrays[key].shape != shape:
                raise ValueError(
                    f"coeffs: expected {shape} (output fields, input fields, elements) for "
                    f"'{key}', got {arrays[key].shape}"
                )
            if not jnp.issubdtype(arrays[key].dtype, jnp.floating):
                raise TypeError(
                    f"coeffs: expected a floating dtype for '{key}', got {arrays[key].dtype}"
                )
        return arrays

    def expand(self, coeffs: Mapping[str, ArrayLike]) -> Float[Array, "out in *kernel"]:
        """The kernel with given coefficients.

        Args:
            coeffs: Key to ``(output fields, input fields, dim)``.

        Returns:
            ``(out, in, *kernel)`` in the dtype of the coefficients; 16-bit ones are expanded in
            float32 and cast once.

        Raises:
            ValueError: If a key or a shape does not fit.
            TypeError: If a dtype is not floating.
        """
        return _expand(self, self._checked(coeffs))

    def on_functions(
        self, coeffs: Mapping[str, ArrayLike], *, in_irreps: bool = False
    ) -> Float[Array, "out in functions"]:
        """What the kernel is made of, one matrix per function of a part, ring after ring.

        For kernels that are wanted elsewhere than on the taps: their sum, weighted with the values
        of the functions there, is the kernel.

        Args:
            coeffs: As for `expand`.
            in_irreps: Whether the matrices are between channels as `to_irreps` gives them, which
                takes fewer products.

        Raises:
            ValueError: If a key or a shape does not fit.
            TypeError: If a dtype is not floating.
        """
        kernel = _on_functions(self, self._checked(coeffs))
        if flag(in_irreps, "on_functions", "in_irreps"):
            return kernel
        columns = from_irreps(jnp.moveaxis(kernel, 1, 2), self.in_fields)
        return jnp.moveaxis(from_irreps(columns.T, self.out_fields).T, 2, 1)

    def to_irreps(self, x: Float[ArrayLike, "*points in"]) -> Float[Array, "*points in"]:
        """Channels of the input with equal fields side by side, each in coordinates of irreps.

        Raises:
            ValueError: If the last axis has another size.
            TypeError: If the dtype is not floating.
        """
        return to_irreps(_channels(x, "to_irreps", "x", self.in_rep.size), self.in_fields)

    def from_irreps(self, y: Float[ArrayLike, "*points out"]) -> Float[Array, "*points out"]:
        """Channels of the output from such coordinates.

        Raises:
            ValueError: If the last axis has another size.
            TypeError: If the dtype is not floating.
        """
        return from_irreps(_channels(y, "from_irreps", "y", self.out_rep.size), self.out_fields)

    def coefficients(self, kernel: Shaped[ArrayLike, "out in *kernel"]) -> dict[str, Array]:
        """Coefficients of the orthogonal projection; the inverse of `expand` on the span.

        Args:
            kernel: ``(out, in, *kernel)``, equivariant or not.

        Raises:
            ValueError: If the shape does not fit.
            TypeError: If the dtype is not floating.
        """
        kernel = checks.array(kernel, "TypeBasis", "kernel")
        shape = (self.out_rep.size, self.in_rep.size, *self.kernel)
        if kernel.shape != shape:
            raise ValueError(f"kernel: expected {shape}, got {kernel.shape}")
        if not jnp.issubdtype(kernel.dtype, jnp.floating):
            raise TypeError(f"kernel: expected a floating dtype, got {kernel.dtype}")
        # By place: an equal basis, whose types have other names, may have been compiled before.
        return dict(zip(self.shapes, _coefficients(self, kernel), strict=True))

    def project(
        self, kernel: Shaped[ArrayLike, "out in *kernel"]
    ) -> Float[Array, "out in *kernel"]:
        """The nearest kernel of the span, in the Frobenius norm."""
        return self.expand(self.coefficients(kernel))


jax.tree_util.register_static(TypeBasis)


def _channels(x: object, caller: str, argument: str, size: int) -> Array:
    """An array ``(..., size)`` of floating-point numbers."""
    found = checks.array(x, caller, argument)
    if found.ndim == 0 or found.shape[-1] != size:
        refuse(ValueError, caller, argument, f"an array (..., {size})", x)
    if not jnp.issubdtype(found.dtype, jnp.floating):
        refuse(TypeError, caller, argument, "a floating dtype", x)
    return found


def _space_of(caller: str, what: str, given: TypeOnSpace) -> GSpace:
    if not hasattr(given, "space") or not hasattr(given, "representation"):
        raise TypeError(
            f"{caller}: {what}: expected a field type (with a space and a representation), got "
            f"{type(given).__name__}"
        )
    check_space(f"{caller}: {what}", given.space)
    return given.space


@functools.lru_cache(maxsize=4096)
def _warn_unused(basis: TypeBasis, caller: str) -> None:
    """Warns once per basis."""
    warnings.warn(
        f"{caller}: irreps {', '.join(basis.unused_in)} of in_type {basis.in_rep!r} reach no "
        f"output of out_type {basis.out_rep!r} with {basis.recipe} "
        "(warn_unused=False silences this)",
        UnusedIrrepsWarning,
        stacklevel=4,
    )


@functools.partial(jax.jit, static_argnums=0)
def _expand(basis: TypeBasis, coeffs: dict[str, Array]) -> Array:
    dtype, form = jnp.result_type(*coeffs.values()), _form(basis)
    kernel = sampled(basis.pairs[0].basis, _assembled(basis, coeffs, form), form)
    return kernel.reshape(*kernel.shape[:2], *basis.kernel).astype(dtype)


@functools.partial(jax.jit, static_argnums=0)
def _on_functions(basis: TypeBasis, coeffs: dict[str, Array]) -> Array:
    dtype = jnp.result_type(*coeffs.values())
    wide = at_least_float32(dtype)
    blocks = {
        (pair.out_kind, pair.in_kind): in_coordinates(pair.basis, coeffs[pair.key].astype(wide))
        for pair in basis.pairs
    }
    return by_kinds(blocks, basis.out_fields, basis.in_fields).astype(dtype)


def to_irreps(x: Float[Array, "*points c"], fields: Fields) -> Float[Array, "*points c"]:
    """Channels by kinds of fields, in the coordinates of `in_coordinates`."""
    turns = [coordinates(kind) for kind in fields.kinds]
    inverses = [None if turn is None else turn.T for turn in turns]
    return turned_kinds(to_kinds(x, x.ndim - 1, fields), fields, inverses)


def from_irreps(y: Float[Array, "*points c"], fields: Fields) -> Float[Array, "*points c"]:
    """The inverse of `to_irreps`."""
    turns = [coordinates(kind) for kind in fields.kinds]
    return to_fields(turned_kinds(y, fields, turns), y.ndim - 1, fields)


def _assembled(basis: TypeBasis, coeffs: dict[str, Array], form: Form) -> Array:
    """The kernel in at least float32, as `contract` gives it."""
    wide = at_least_float32(jnp.result_type(*coeffs.values()))
    blocks = {
        (pair.out_kind, pair.in_kind): contract(pair.basis, coeffs[pair.key].astype(wide), form)
        for pair in basis.pairs
    }
    return assemble(blocks, basis.out_fields, basis.in_fields)


@functools.partial(jax.jit, static_argnums=0)
def _coefficients(basis: TypeBasis, kernel: Array) -> list[Array]:
    form = _form(basis)
    wide = widened(kernel).reshape(*kernel.shape[:2], -1)
    wide = unsampled(basis.pairs[0].basis, wide, form)
    wanted = [(pair.out_kind, pair.in_kind) for pair in basis.pairs]
    blocks = take_apart(wide, basis.out_fields, basis.in_fields, wanted)
    return [
        project_coefficients(pair.basis, block, form).astype(kernel.dtype)
        for pair, block in zip(basis.pairs, blocks, strict=True)
    ]


def _form(basis: TypeBasis) -> Form:
    return best_form(tuple((p.basis, len(p.in_fields) * len(p.out_fields)) for p in basis.pairs))
