"""`MLP` and `InvariantMLP`: linear maps and nonlinearities, in turn."""

from __future__ import annotations

import functools
import math
import operator
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray

from .._arguments import arrays, flag, integer, is_integer, is_several, number, refuse, shown
from ..fields import FieldType, IrrepTensor, Type
from ..hom import Machine, Scheme, UnusedIrrepsWarning, hom_basis
from ..nn import (
    AbstractContainer,
    AbstractModule,
    FieldDropout,
    GatedNonlinearity,
    InvariantPool,
    IrrepNormPool,
    Layer,
    Linear,
    NormNonlinearity,
    PointwiseNonlinearity,
    QuadraticPool,
    Sequential,
)
from ..nn.authoring import (
    Ways,
    carried,
    check_elementwise,
    parameter_dtype,
    representation_of,
    ways_through,
)
from ..representations import Representation, as_representation, regular, trivial

Activation = Callable[[Array], Array] | Layer | type[Layer]

IRREP_BY_IRREP = (GatedNonlinearity, NormNonlinearity)
"""Nonlinearities that make no irrep of others: what is zero before them is zero after."""

POOLS = ("norm", "quadratic", "mean")

HIDDEN_INIT, LAST_INIT = "he_normal", "small_normal"

SMALL = 0.1
"""Of the weights of a head, as ``"small_normal"`` has it of He's."""

#: Numbers beyond which no last layer is made.
MOST_OUTPUTS = 1_000_000


class MLP(AbstractModule):
    """Equivariant multilayer perceptron: linear, activation, [dropout] per hidden layer, linear.

    Law: ``f(rho_in(g) x) = rho_out(g) f(x)``.

    Shapes: ``(..., n_in) -> (..., n_out)``.

    Examples:
        >>> import equivax as evx, jax, jax.numpy as jnp
        >>> G = evx.groups.dihedral(4)
        >>> mlp = evx.models.MLP(G.regular, G.irrep(1, 1), [32, 32], key=jax.random.key(0))
        >>> mlp(jnp.ones((5, 8))).shape
        (5, 2)
    """

    layers: Sequential
    in_type: Type = eqx.field(static=True)
    out_type: Type = eqx.field(static=True)

    def __init__(
        self,
        in_type: Type,
        out_type: Type,
        hidden: Sequence[Any],
        *,
        activation: Activation = jax.nn.relu,
        dropout: float = 0.0,
        use_bias: bool = True,
        hidden_rep: Representation | None = None,
        init: Scheme | None = None,
        mode: str = "auto",
        dtype: DTypeLike | None = None,
        key: PRNGKeyArray,
    ) -> None:
        """Draws the parameters.

        Args:
            in_type: A `Representation` or a field type.
            out_type: Likewise, of the same group.
            hidden: One entry per hidden layer: a number of channels, rounded up to whole copies of
                ``hidden_rep``, or a type.
            activation: A function of single channels (hidden types that are permuted; odd
                functions also where they are permuted with signs), a class of nonlinearities
                such as `nn.NormNonlinearity` or `nn.GatedNonlinearity`, or a layer.
            dropout: Probability to drop a field after each activation.
            use_bias: Whether linear layers have an invariant bias.
            hidden_rep: What hidden channels consist of; default the regular representation.
            init: Scheme of the weights of all layers, see `HomBasis.init`. If None, ``"he_normal"``
                for the hidden layers and ``"small_normal"``, a tenth of it, for the last one: a
                network that starts at the size of its targets has first to unlearn its output.
            mode: Of the linear layers: ``"auto"``, ``"dense"``, ``"spectral"`` or ``"irreps"``,
                see `nn.Linear`.
            dtype: Of the parameters; JAX's default float if None.
            key: A JAX key.

        Raises:
            ValueError: If ``hidden`` is empty, a width is not positive, the group is infinite and
                no hidden type is given, or the activation does not fit a hidden type.
        """
        key = arrays.key(key, "MLP")
        _check_hidden("MLP", hidden)
        keys = [jax.random.fold_in(key, layer) for layer in range(len(hidden) + 1)]
        inner, last = (HIDDEN_INIT, LAST_INIT) if init is None else (init, init)
        options = {"use_bias": use_bias, "init": inner, "mode": mode, "dtype": dtype}
        layers = _hidden_layers(
            "MLP", in_type, hidden, activation, dropout, hidden_rep, options, keys[:-1]
        )
        options["init"] = last
        layers.append(_quiet_linear(layers[-1].out_type, out_type, options, keys[-1]))
        self.layers = Sequential(*layers)
        self.in_type = in_type
        self.out_type = out_type

    def _forward(
        self, x: Float[Array, "..."], key: PRNGKeyArray | None = None
    ) -> Float[Array, "..."]:
        return self.layers(x, key=key)

    def _forward_irreps(self, x: IrrepTensor, key: PRNGKeyArray | None = None) -> IrrepTensor:
        return self.layers(x, key=key)

    def costs_of_ways(self, rows: int, prices: Machine) -> Ways:
        """See `AbstractLayer`: those of the layers."""
        return self.layers.costs_of_ways(rows, prices)

    def export(self) -> eqx.nn.Sequential:
        """`equinox.nn.Sequential` of plain layers, at inference; it takes one example."""
        return self.layers.export()


class InvariantMLP(AbstractModule):
    """Equivariant layers, an invariant pooling, and a plain linear head.

    Law: ``f(rho(g) x) = f(x)``.

    Shapes: ``(..., n_in) -> (..., out_size)``.
    """

    backbone: Sequential
    pool: AbstractModule | AbstractContainer
    head: eqx.nn.Linear
    in_type: Type = eqx.field(static=True)
    out_type: Type = eqx.field(static=True)

    def __init__(
        self,
        in_type: Type,
        out_size: int,
        hidden: Sequence[Any],
        *,
        pool: str | Layer = "norm",
        activation: Activation = jax.nn.relu,
        dropout: float = 0.0,
        use_bias: bool = True,
        hidden_rep: Representation | None = None,
        init: Scheme | None = None,
        mode: str = "auto",
        dtype: DTypeLike | None = None,
        key: PRNGKeyArray,
    ) -> None:
        """Draws the parameters.

        Args:
            in_type: A `Representation` or a field type.
            out_size: Number of invariant outputs.
            hidden: As in `MLP`.
            pool: ``"norm"`` (norms of irrep copies; trivial copies keep their sign),
                ``"quadratic"`` (all quadratic invariants), ``"mean"`` (linear invariants), or a
                layer from the last hidden type to a trivial type.
            activation: As in `MLP`.
            dropout: As in `MLP`.
            use_bias: Whether linear layers and the head have a bias.
            hidden_rep: As in `MLP`.
            init: Scheme of the hidden layers, see `HomBasis.init`. The head starts as
                `equinox.nn.Linear` does. If None, ``"he_normal"`` and a tenth of the head's
                weights, as in `MLP`.
            mode: As in `MLP`.
            dtype: Of the parameters; JAX's default float if None.
            key: A JAX key.

        Raises:
            ValueError: As `MLP`; also for an unknown pool, one that is not invariant, or an
                ``out_size`` that is not positive.
        """
        name = "InvariantMLP"
        out_size, key = integer(out_size, name, "out_size", 1, MOST_OUTPUTS), arrays.key(key, name)
        dtype, use_bias = parameter_dtype(dtype, name), flag(use_bias, name, "use_bias")
        _check_hidden(name, hidden)
        keys = [jax.random.fold_in(key, layer) for layer in range(len(hidden) + 1)]
        inner = HIDDEN_INIT if init is None else init
        options = {"use_bias": use_bias, "init": inner, "mode": mode, "dtype": dtype}
        layers = _hidden_layers(
            name, in_type, hidden, activation, dropout, hidden_rep, options, keys[:-1]
        )
        self.backbone = Sequential(*layers)
        self.pool = _pool(pool, self.backbone.out_type)
        features = as_representation(self.pool.out_type, "pool")
        head = eqx.nn.Linear(features.size, out_size, use_bias=use_bias, dtype=dtype, key=keys[-1])
        if init is None:
            head = eqx.tree_at(lambda tree: tree.weight, head, SMALL * head.weight)
        self.head = head
        self.in_type = in_type
        self.out_type = out_size * trivial(features.group)

    def _forward(
        self, x: Float[Array, "..."], key: PRNGKeyArray | None = None
    ) -> Float[Array, "..."]:
        inside, pooled = ways_through((self.backbone, self.pool), x)
        y = self.backbone(carried(self.in_type, x, inside), key=key)
        features = self.pool(carried(self.pool.in_type, y, pooled))
        return self._head(features.array if pooled else features)

    def _forward_irreps(self, x: IrrepTensor, key: PRNGKeyArray | None = None) -> Array:
        return self._head(self.pool(self.backbone(x, key=key)).array)

    def _head(self, features: Float[Array, "..."]) -> Float[Array, "..."]:
        y = jnp.matmul(features, self.head.weight.T.astype(features.dtype))
        return y if self.head.bias is None else y + self.head.bias.astype(y.dtype)

    def export(self) -> eqx.nn.Sequential:
        """`equinox.nn.Sequential` of plain layers, at inference; it takes one example."""
        return eqx.nn.Sequential([self.backbone.export(), self.pool.export(), self.head])


def _check_hidden(caller: str, hidden: object) -> None:
    if not is_several(hidden) or not len(hidden):
        raise ValueError(
            f"{caller}: hidden: expected a non-empty sequence of widths or types, got {hidden!r}"
        )


def _hidden_layers(
    caller: str,
    in_type: Type,
    hidden: Sequence[Any],
    activation: Activation,
    dropout: float,
    hidden_rep: Representation | None,
    options: dict[str, Any],
    keys: list[PRNGKeyArray],
) -> list[Layer]:
    source = representation_of(in_type, caller, "in_type")
    dropout = number(dropout, caller, "dropout", 0, 1)
    layers: list[Layer] = []
    current = in_type
    for width, key in zip(hidden, keys, strict=True):
        type_ = layer_type(caller, source, width, hidden_rep)
        nonlinearity = activation_layer(caller, activation, type_)
        layers.append(_quiet_linear(current, nonlinearity.in_type, options, key))
        layers.append(nonlinearity)
        if current is in_type and isinstance(nonlinearity, IRREP_BY_IRREP):
            unreached = hom_basis(current, nonlinearity.in_type).unreached_out
            # Trivial ones, such as gates, are what the bias is.
            filled = {source.group.irrep_data(trivial(source.group).irreps[0]).name}
            if set(unreached) - (filled if options["use_bias"] else set()):
                _warn_unreached(caller, current, nonlinearity.in_type, unreached)
        if dropout:
            layers.append(FieldDropout(nonlinearity.out_type, dropout))
        current = nonlinearity.out_type
    return layers


@functools.lru_cache(maxsize=4096)
def _warn_unreached(caller: str, in_type: Type, hidden: Type, unreached: tuple[str, ...]) -> None:
    """Warns once per pair of types."""
    warnings.warn(
        f"{caller}: irreps {', '.join(unreached)} of the first hidden type {hidden!r} are not "
        f"reached from in_type {in_type!r}, and linear maps, gates and norms never fill them: "
        "they stay zero, or what the bias is; leave them out of hidden, or make them from the "
        "input with nn.TensorProduct",
        UnusedIrrepsWarning,
        stacklevel=5,
    )


def _quiet_linear(
    in_type: Type, out_type: Type, options: dict[str, Any], key: PRNGKeyArray
) -> Linear:
    """A `Linear` inside a network, where dropping irreps on the way to the output is intended."""
    return Linear(in_type, out_type, warn_unused=False, key=key, **options)


def layer_type(
    caller: str,
    source: Representation,
    width: object,
    hidden_rep: Representation | None,
    *,
    way_out: str = "give hidden types (sums of irreps) with NormNonlinearity or GatedNonlinearity, "
    "or hidden_rep",
) -> Type:
    """Type of a hidden layer: as given, or as many copies as have that many channels.

    ``way_out`` says what to give for an infinite group.

    Raises:
        ValueError: If the width is not positive, or the group infinite and nothing to copy given.
        TypeError: If it is neither a width nor a type.
    """
    if isinstance(width, (Representation, FieldType)):
        return width
    if not is_integer(width):
        raise TypeError(f"{caller}: hidden: expected whole widths or types, got {shown(width)}")
    width = operator.index(width)
    if width < 1:
        raise ValueError(f"{caller}: hidden: expected positive widths, got {width}")
    if hidden_rep is None:
        if source.group.order is None:
            raise ValueError(
                f"{caller}: hidden: {source.group.name} is infinite and has no regular "
                f"representation; {way_out}"
            )
        hidden_rep = regular(source.group)
    unit = representation_of(hidden_rep, caller, "hidden_rep")
    return max(1, math.ceil(width / unit.size)) * hidden_rep


def activation_layer(caller: str, activation: Activation, type_: Type) -> Layer:
    """The nonlinearity with a type as output.

    Raises:
        ValueError: If it does not fit the type.
        TypeError: If it is neither a function, a class nor a layer.
    """
    if isinstance(activation, Layer):
        if activation.in_type != type_:
            raise ValueError(
                f"{caller}: activation: the layer {type(activation).__name__} takes "
                f"{activation.in_type!r}, but the hidden type is {type_!r}"
            )
        return activation
    if activation is GatedNonlinearity:
        return GatedNonlinearity.for_fields(type_)
    if isinstance(activation, type) and issubclass(activation, Layer):
        return activation(type_)  # pyright: ignore[reportCallIssue]
    check_elementwise(caller, activation, "activation")
    rep = as_representation(type_, "hidden")
    signed = rep.is_signed_permutation and not rep.is_permutation
    return PointwiseNonlinearity(type_, activation, odd=signed)  # pyright: ignore


def _pool(pool: str | Layer, type_: Type) -> AbstractModule | AbstractContainer:
    if isinstance(pool, (AbstractModule, AbstractContainer)):
        if pool.in_type != type_ or not as_representation(pool.out_type, "pool").is_trivial:
            raise ValueError(
                f"InvariantMLP: pool: expected a layer from {type_!r} to a trivial type, got "
                f"{type(pool).__name__} from {pool.in_type!r} to {pool.out_type!r}"
            )
        return pool
    if not isinstance(pool, str):
        refuse(TypeError, "InvariantMLP", "pool", f"one of {', '.join(POOLS)} or a layer", pool)
    if pool == "norm":
        return IrrepNormPool(type_, trivial="value")
    if pool == "quadratic":
        return QuadraticPool(type_)
    if pool == "mean":
        return InvariantPool(type_)
    raise ValueError(
        f"InvariantMLP: pool: expected one of {', '.join(POOLS)} or a layer, got {pool!r}"
    )
