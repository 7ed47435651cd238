"""`MLP` and `InvariantMLP`: linear maps and nonlinearities, in turn."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence, Sized
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray

from ..fields import FieldType, IrrepTensor, Type
from ..hom import Machine, Scheme
from ..nn import (
    AbstractContainer,
    AbstractModule,
    FieldDropout,
    GatedNonlinearity,
    InvariantPool,
    IrrepNormPool,
    Layer,
    Linear,
    PointwiseNonlinearity,
    QuadraticPool,
    Sequential,
)
from ..nn.authoring import Ways, carried, representation_of, ways_through
from ..representations import Representation, as_representation, regular, trivial

Activation = Callable[[Array], Array] | Layer | type[Layer]

POOLS = ("norm", "quadratic", "mean")


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
        init: Scheme = "he_normal",
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
            init: Scheme of the weights, see `HomBasis.init`.
            mode: Of the linear layers: ``"auto"``, ``"dense"``, ``"spectral"`` or ``"irreps"``,
                see `nn.Linear`.
            dtype: Of the parameters; JAX's default float if None.
            key: A JAX key.

        Raises:
            ValueError: If ``hidden`` is empty, a width is not positive, the group is infinite and
                no hidden type is given, or the activation does not fit a hidden type.
        """
        _check_hidden("MLP", hidden)
        keys = [jax.random.fold_in(key, layer) for layer in range(len(hidden) + 1)]
        options = {"use_bias": use_bias, "init": init, "mode": mode, "dtype": dtype}
        layers = _hidden_layers(
            "MLP", in_type, hidden, activation, dropout, hidden_rep, options, keys[:-1]
        )
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
        init: Scheme = "he_normal",
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
            init: As in `MLP`.
            mode: As in `MLP`.
            dtype: Of the parameters; JAX's default float if None.
            key: A JAX key.

        Raises:
            ValueError: As `MLP`; also for an unknown pool, one that is not invariant, or an
                ``out_size`` that is not positive.
        """
        if isinstance(out_size, bool) or not isinstance(out_size, int) or out_size < 1:
            raise ValueError(
                f"InvariantMLP: out_size: expected a positive integer, got {out_size!r}"
            )
        _check_hidden("InvariantMLP", hidden)
        keys = [jax.random.fold_in(key, layer) for layer in range(len(hidden) + 1)]
        options = {"use_bias": use_bias, "init": init, "mode": mode, "dtype": dtype}
        layers = _hidden_layers(
            "InvariantMLP", in_type, hidden, activation, dropout, hidden_rep, options, keys[:-1]
        )
        self.backbone = Sequential(*layers)
        self.pool = _pool(pool, self.backbone.out_type)
        features = as_representation(self.pool.out_type, "pool")
        self.head = eqx.nn.Linear(
            features.size, out_size, use_bias=use_bias, dtype=dtype, key=keys[-1]
        )
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
    if (
        isinstance(hidden, (str, Representation))
        or not isinstance(hidden, Sized)
        or not len(hidden)
    ):
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
    layers: list[Layer] = []
    current = in_type
    for width, key in zip(hidden, keys, strict=True):
        type_ = _hidden_type(caller, source, width, hidden_rep)
        nonlinearity = _nonlinearity(caller, activation, type_)
        layers.append(_quiet_linear(current, nonlinearity.in_type, options, key))
        layers.append(nonlinearity)
        if dropout:
            layers.append(FieldDropout(nonlinearity.out_type, dropout))
        current = nonlinearity.out_type
    return layers


def _quiet_linear(
    in_type: Type, out_type: Type, options: dict[str, Any], key: PRNGKeyArray
) -> Linear:
    """A `Linear` inside a network, where dropping irreps on the way to the output is intended."""
    return Linear(in_type, out_type, warn_unused=False, key=key, **options)


def _hidden_type(
    caller: str, source: Representation, width: object, hidden_rep: Representation | None
) -> Type:
    if isinstance(width, (bool, float)):
        raise TypeError(f"{caller}: hidden: expected whole widths or types, got {width!r}")
    if isinstance(width, (Representation, FieldType)):
        return width
    if not isinstance(width, (int, np.integer)):
        raise TypeError(f"{caller}: hidden: expected whole widths or types, got {width!r}")
    if width < 1:
        raise ValueError(f"{caller}: hidden: expected positive widths, got {width}")
    if hidden_rep is None:
        if source.group.order is None:
            raise ValueError(
                f"{caller}: hidden: {source.group.name} is infinite and has no regular "
                "representation; give hidden types (sums of irreps) with NormNonlinearity or "
                "GatedNonlinearity, or hidden_rep"
            )
        hidden_rep = regular(source.group)
    unit = as_representation(hidden_rep, "hidden_rep")
    return max(1, math.ceil(width / unit.size)) * hidden_rep


def _nonlinearity(caller: str, activation: Activation, type_: Type) -> Layer:
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
    if pool == "norm":
        return IrrepNormPool(type_, trivial="value")
    if pool == "quadratic":
        return QuadraticPool(type_)
    if pool == "mean":
        return InvariantPool(type_)
    raise ValueError(
        f"InvariantMLP: pool: expected one of {', '.join(POOLS)} or a layer, got {pool!r}"
    )
