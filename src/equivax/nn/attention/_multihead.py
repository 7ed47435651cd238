"""`MultiheadAttention`: tokens look at one another, by invariant weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray

from ..._arguments import arrays, choice, flag, integer, number, refuse
from ...fields import IrrepTensor, Type
from ...hom import MODES, Machine, Scheme
from ...representations import Representation, check_same_group, regular
from .._core._admission import MOST_CHANNELS, checked_scheme, parameter_dtype
from .._core._meshes import on_any_mesh
from .._core._module import AbstractModule, representation_of
from .._core._plain import plain_function
from .._core._ways import Ways, carried, ways_through
from ..linear import Linear, basis_side_by_side, checked_basis, costs_of_map, side_by_side
from ._formula import attended, attended_by_jax, averaged, logits_of
from ._heads import join_heads, split_heads
from ._masks import masks_of
from ._positions import AbstractPositions, check_tokens, check_vectors, places

_NAME = "MultiheadAttention"
Tokens = Array | IrrepTensor
Inputs = tuple[Tokens, Tokens, Tokens]

IMPLEMENTATIONS = ("xla", "cudnn")


class MultiheadAttention(AbstractModule):
    """Every token becomes an average over tokens, with weights that the group leaves alone.

    Queries, keys and values are linear maps into ``num_heads`` copies of ``head_type``, any
    orthogonal representation. Logits ``q k / sqrt(n)`` are invariant, weights act on whole vectors,
    and a linear map leads from the heads back to the type. The group acts on all tokens alike; a
    layer without positions and masks also commutes with permutations of tokens.

    Law: ``f(rho(g) x) = rho(g) f(x)``, for all masks and positions, and for every draw of dropout.

    Shapes: ``(..., T, n) -> (..., T, n)``. Logits and their softmax are taken in at least float32.

    Examples:
        >>> import equivax as evx, jax
        >>> rep = 4 * evx.groups.dihedral(4).regular
        >>> attention = evx.nn.MultiheadAttention(rep, 2, key=jax.random.key(0))
        >>> x = jax.random.normal(jax.random.key(1), (3, 10, 32))
        >>> attention(x).shape, attention(x, mask="causal").shape, attention.weights(x).shape
        ((3, 10, 32), (3, 10, 32), (3, 2, 10, 10))
    """

    query_proj: Linear
    key_proj: Linear
    value_proj: Linear
    output_proj: Linear
    positions: AbstractPositions | None
    in_type: Type = eqx.field(static=True)
    out_type: Type = eqx.field(static=True)
    kv_type: Type = eqx.field(static=True)
    head_type: Type = eqx.field(static=True)
    num_heads: int = eqx.field(static=True)
    dropout: float = eqx.field(static=True)
    mode: str = eqx.field(static=True)
    implementation: str | None = eqx.field(static=True)
    inference: bool

    def __init__(
        self,
        in_type: Type,
        num_heads: int,
        *,
        head_type: Type | None = None,
        kv_type: Type | None = None,
        dropout: float | int = 0.0,
        use_bias: bool = True,
        positions: AbstractPositions | None = None,
        init: Scheme = "xavier_normal",
        output_init: Scheme | None = None,
        mode: str = "auto",
        implementation: str | None = None,
        inference: bool = False,
        dtype: DTypeLike | None = None,
        key: PRNGKeyArray,
    ) -> None:
        """Draws the parameters.

        Args:
            in_type: A `Representation` or a field type of vectors: one token.
            num_heads: Number of heads.
            head_type: Type of one head; default the largest whole number of regular copies that
                keeps the width of ``in_type``, at least one. Needed where the group is infinite.
            kv_type: Type of the tokens that are looked at; default ``in_type``.
            dropout: Probability to drop a weight, in training.
            use_bias: Whether the linear maps have invariant biases.
            positions: Where tokens stand: `RotaryPositions`, `AbsolutePositions` or
                `RelativePositions`; None for sets.
            init: Scheme of the weights, see `HomBasis.init`.
            output_init: Scheme of the map behind the heads; ``init`` if None.
            mode: Of the linear maps, see `Linear`; with ``"irreps"`` all stays irrep by irrep.
            implementation: ``"cudnn"`` or ``"xla"`` of `jax.nn.dot_product_attention`, where there
                is no dropout and numbers have at most 32 bits; None for products and a softmax,
                which run everywhere. On a GPU in 16 bits cuDNN is faster, and keeps no weights in
                memory; JAX says which heads and masks it takes, and it has no derivatives forwards.
            inference: Whether nothing is dropped; `equinox.nn.inference_mode` sets it.
            dtype: Of the parameters; JAX's default float if None.
            key: A JAX key.

        Raises:
            ValueError: If a group differs, the group is infinite and ``head_type`` missing, no
                linear map leads to a head, the positions do not fit, or an option is unknown.
            TypeError: If an argument is of another kind.
        """
        rep = representation_of(in_type, _NAME, "in_type")
        kv_type = in_type if kv_type is None else kv_type
        kv_rep = representation_of(kv_type, _NAME, "kv_type")
        check_vectors(_NAME, "in_type", in_type)
        check_vectors(_NAME, "kv_type", kv_type)
        heads = integer(num_heads, _NAME, "num_heads", 1, MOST_CHANNELS)
        head_type = default_head(rep, heads) if head_type is None else head_type
        head = representation_of(head_type, _NAME, "head_type")
        check_vectors(_NAME, "head_type", head_type)
        for other in (kv_rep, head):
            check_same_group(_NAME, rep, other)
        for source in (rep, kv_rep):
            checked_basis(_NAME, source, heads * head, warn_unused=False)
        if positions is not None:
            if not isinstance(positions, AbstractPositions):
                takes = "None or positions such as nn.RotaryPositions(head_type)"
                refuse(TypeError, _NAME, "positions", takes, positions)
            positions.check_fits(_NAME, in_type, kv_type, head, heads)
        if implementation is not None:
            implementation = choice(implementation, _NAME, "implementation", IMPLEMENTATIONS)
        scheme = checked_scheme(init, _NAME)
        options = {
            "use_bias": flag(use_bias, _NAME, "use_bias"),
            "mode": choice(mode, _NAME, "mode", MODES),
            "dtype": parameter_dtype(dtype, _NAME),
            "warn_unused": False,
        }
        keys = jax.random.split(arrays.key(key, _NAME), 4)
        types = [(in_type, heads * head), (kv_type, heads * head), (kv_type, heads * head)]
        self.query_proj, self.key_proj, self.value_proj = (
            Linear(source, to, init=scheme, key=own, **options)
            for (source, to), own in zip(types, keys[:3], strict=True)
        )
        last = scheme if output_init is None else checked_scheme(output_init, _NAME)
        self.output_proj = Linear(heads * head, in_type, init=last, key=keys[3], **options)
        # Copies of what is learned: layers that get the same positions do not share arrays.
        self.positions = jax.tree.map(_copied, positions)
        self.in_type = in_type
        self.out_type = in_type
        self.kv_type = kv_type
        self.head_type = head_type
        self.num_heads = heads
        self.dropout = number(dropout, _NAME, "dropout", 0, below=1)
        self.mode = options["mode"]
        self.implementation = implementation
        self.inference = flag(inference, _NAME, "inference")

    # ---- calls -----------------------------------------------------------------------------------

    def __call__(
        self,
        q: object,
        k: object = None,
        v: object = None,
        *,
        mask: object = None,
        positions: object = None,
        key: PRNGKeyArray | None = None,
    ) -> Any:
        """Attends.

        Args:
            q: Tokens ``(..., T, n)`` that look: an array, or an `IrrepTensor` of ``in_type``.
            k: Tokens ``(..., S, n_kv)`` that are looked at; default ``q``.
            v: What is taken from them; default ``k``.
            mask: Which tokens may be seen. ``"causal"``: token t sees tokens up to t. Booleans
                (True: may be seen) or floating numbers, added to the logits, that broadcast to
                ``(..., heads, T, S)``; for tokens that are padding ``(B, 1, 1, S)``. Or a tuple of
                such masks. A token that sees none becomes the mean over all.
            positions: Of the tokens, ``(T,)`` or ``(B, T)``, default 0, 1, ...; where keys are not
                queries a pair of such arrays, or None. A token at nan has no position.
            key: A JAX key, for dropout.

        Returns:
            ``(..., T, n)``, as what ``q`` was.

        Raises:
            ValueError: If a shape or a type does not fit, or a key is missing.
            TypeError: If an input is no array of floating numbers.
        """
        return self._called(q, k, v, mask=mask, positions=positions, key=key)

    def weights(
        self, q: object, k: object = None, *, mask: object = None, positions: object = None
    ) -> Float[Array, "*batch heads T S"]:
        """What every token gives to every other, invariant, without dropout; rows sum to 1.

        Args:
            q: As in the call.
            k: Likewise.
            mask: Likewise.
            positions: Likewise.
        """
        with self._scope():
            (queries, keys, _), at = self._heads(self._tokens(q, k, None), positions)
            shown = self._shown(queries, keys, mask, at)
            return jax.nn.softmax(logits_of(queries, keys, *shown), axis=-1)

    @on_any_mesh
    def _called(
        self,
        x: object,
        k: object,
        v: object,
        *,
        mask: object,
        positions: object,
        key: PRNGKeyArray | None,
    ) -> Any:
        key = self._checked_key(key)
        with self._scope():
            tokens = self._tokens(x, k, v)
            y = self._forward(tokens, key, mask=mask, positions=positions)
            if isinstance(y, IrrepTensor) and not isinstance(x, IrrepTensor):
                y = y.array
            return self._value(y, (x,))

    def _tokens(self, q: object, k: object, v: object) -> Inputs:
        """The three inputs, checked, all as arrays or all irrep by irrep."""
        if k is None:
            if v is not None:
                raise ValueError(f"{_NAME}: k: expected tokens, since v was given, got None")
            if self.kv_type != self.in_type:
                raise ValueError(
                    f"{_NAME}: k: expected tokens of kv_type {self.kv_type!r}, got None"
                )
        k = q if k is None else k
        v = k if v is None else v
        given = [(q, self.in_type, "in_type"), (k, self.kv_type, "kv_type")]
        given.append((v, self.kv_type, "kv_type"))
        # One input stays one object, so that what looks at it is one product.
        kept: dict[tuple[int, Type], Tokens] = {}
        for (x, type_, named), name in zip(given, "qkv", strict=True):
            if (id(x), type_) not in kept:
                is_irreps = isinstance(x, IrrepTensor)
                own = self._irreps(x, type_) if is_irreps else self._array(x, type_, named=named)
                check_tokens(_NAME, name, own.shape, type_)
                kept[id(x), type_] = own
        found = [kept[id(x), type_] for x, type_, _ in given]
        shapes = [x.shape[:-1] for x in found]
        if shapes[1] != shapes[2]:
            raise ValueError(
                f"{_NAME}: v: expected as many tokens as in k, {shapes[1]}, got {shapes[2]}"
            )
        _check_batches(shapes[0][:-1], shapes[1][:-1])
        irrep_wise = isinstance(found[0], IrrepTensor)
        if not isinstance(found[0], IrrepTensor):
            (irrep_wise,) = ways_through((self,), found[0])
        kept = {at: carried(at[1], own, irrep_wise) for at, own in kept.items()}
        q, k, v = (kept[id(x), type_] for x, type_, _ in given)
        return q, k, v

    # ---- the formula -----------------------------------------------------------------------------

    def _forward(
        self,
        x: Inputs,
        key: PRNGKeyArray | None,
        mask: object = None,
        positions: object = None,
    ) -> Array | IrrepTensor:
        (q, k, v), at = self._heads(x, positions)
        shown = self._shown(q, k, mask, at)
        if self.dropout and not self.inference:
            if key is None:
                raise ValueError(
                    f"{_NAME}: key: needed in training; pass key=, or use equinox.nn.inference_mode"
                )
            weights = jax.nn.softmax(logits_of(q, k, *shown), axis=-1)
            keep = jax.random.bernoulli(key, jnp.float32(1 - self.dropout), weights.shape)
            y = averaged(jnp.where(keep, weights / (1 - self.dropout), 0), v)
        elif self.implementation is None or q.dtype.itemsize > 4:
            y = attended(q, k, v, *shown)
        else:
            y = attended_by_jax(q, k, v, *shown, self.implementation)
        heads = join_heads(self._head, y, irrep_wise=isinstance(x[0], IrrepTensor))
        return self.output_proj(heads)

    @property
    def _head(self) -> Representation:
        return representation_of(self.head_type, _NAME, "head_type")

    def _heads(
        self, x: Inputs, positions: object
    ) -> tuple[list[Array], tuple[Array, Array] | None]:
        """Queries, keys and values ``(..., T, heads, n)``, and where the tokens stand."""
        q, k, v = x
        irrep_wise = isinstance(q, IrrepTensor)
        kind, at = self.positions, self._places(q, k, positions)
        if kind is not None and at is not None:
            moved = kind.on_inputs(q, at[0])
            k = moved if k is q else kind.on_inputs(k, at[1])
            q = moved
        layers = [self.query_proj, self.key_proj, self.value_proj]
        heads: list[Array] = []
        # What looks at one input is one product.
        for start, stop in _runs((q, k, v), layers):
            y = side_by_side(layers[start:stop], (q, k, v)[start])
            rows = split_heads(self._head, (stop - start) * self.num_heads, y)
            heads += jnp.split(rows, stop - start, axis=-2)
        if kind is not None and at is not None:
            heads[:2] = (
                kind.on_heads(rows, own, irrep_wise=irrep_wise)
                for rows, own in zip(heads[:2], at, strict=True)
            )
        return heads, at

    def _places(self, q: Tokens, k: Tokens, positions: object) -> tuple[Array, Array] | None:
        if self.positions is None:
            if positions is not None:
                raise ValueError(
                    f"{_NAME}: positions: expected None, since the layer has no positions; give "
                    "it some, such as positions=nn.RotaryPositions(head_type)"
                )
            return None
        pair = positions if isinstance(positions, tuple) else (positions, positions)
        if len(pair) != 2 or (k is not q and positions is not None and pair is not positions):
            refuse(ValueError, _NAME, "positions", "a pair, of queries and of keys", positions)
        for own, x, name in zip(pair, (q, k), "qk", strict=True):
            if own is None:
                self.positions.check_count(_NAME, name, x.shape[-2])
        q_at = places(_NAME, pair[0], q.shape[:-1])
        return q_at, q_at if pair[1] is pair[0] and k is q else places(_NAME, pair[1], k.shape[:-1])

    def _shown(
        self, q: Array, k: Array, mask: object, at: tuple[Array, Array] | None
    ) -> tuple[Array | None, Array | None]:
        """Which logits count, and what is added to them."""
        batch = jnp.broadcast_shapes(q.shape[:-3], k.shape[:-3])
        shape = (*batch, self.num_heads, q.shape[-3], k.shape[-3])
        seen, added = masks_of(_NAME, mask, shape)
        bias = None if self.positions is None or at is None else self.positions.bias(*at)
        if bias is not None:
            added = bias if added is None else added + bias
        return seen, added

    # ---- choices and exports ---------------------------------------------------------------------

    def costs_of_ways(self, rows: int, prices: Machine) -> Ways:
        """See `AbstractLayer`: of the linear maps, and of gathering heads from irreps."""
        layers = [self.query_proj, self.key_proj, self.value_proj]
        alike = self.in_type == self.kv_type
        groups = [layers] if alike else [layers[:1], layers[1:]]
        bases = [*map(basis_side_by_side, groups), self.output_proj.basis]
        ways = [costs_of_map(basis, self.mode, rows, prices) for basis in bases]
        gathered = 8 * rows * self.output_proj.in_type.size * prices.number
        return Ways(sum(w.arrays for w in ways), sum(w.irreps for w in ways) + gathered)

    def export(self) -> eqx.nn.MultiheadAttention | Callable[..., Any]:
        """`equinox.nn.MultiheadAttention` with dense weights, called ``(q, k, v, mask=None)``.

        With positions it is a plain function ``(q, k=None, v=None, mask=None, positions=None,
        key=None)``, at inference, of the tokens of one example and arrays for masks.
        """
        layers = (self.query_proj, self.key_proj, self.value_proj, self.output_proj)
        parts = tuple(layer.export() for layer in layers)
        if self.positions is not None:
            return plain_function(
                plain_attention, parts, self.num_heads, tuple(self.positions.plain())
            )
        names = ("query", "key", "value", "output")
        biases = {f"use_{n}_bias": p.bias is not None for n, p in zip(names, parts, strict=True)}
        layer = eqx.filter_eval_shape(
            eqx.nn.MultiheadAttention,
            self.num_heads,
            self.in_type.size,
            key_size=self.kv_type.size,
            value_size=self.kv_type.size,
            output_size=self.out_type.size,
            qk_size=self._head.size,
            vo_size=self._head.size,
            dropout_p=self.dropout,
            inference=self.inference,
            key=jax.random.key(0),
            **biases,
        )
        return eqx.tree_at(
            lambda tree: (tree.query_proj, tree.key_proj, tree.value_proj, tree.output_proj),
            layer,
            parts,
        )


def plain_attention(parts, num_heads, kind, q, k=None, v=None, mask=None, positions=None, key=None):
    """Attention of the tokens of one example by plain linear layers, at inference."""
    on_inputs, on_heads, bias_of = kind
    query, key_layer, value, output = parts
    k = q if k is None else k
    v = k if v is None else v
    pair = positions if isinstance(positions, tuple) else (positions, positions)
    at = [
        jnp.arange(x.shape[-2], dtype=jnp.float32) if p is None else jnp.asarray(p, jnp.float32)
        for p, x in zip(pair, (q, k), strict=True)
    ]
    if on_inputs is not None:
        q, k = on_inputs(q, at[0]), on_inputs(k, at[1])
    heads = []
    for layer, x in ((query, q), (key_layer, k), (value, v)):
        y = jax.vmap(layer)(x)
        heads.append(y.reshape(y.shape[0], num_heads, -1))
    if on_heads is not None:
        heads[0], heads[1] = on_heads(heads[0], at[0]), on_heads(heads[1], at[1])
    bias = None if bias_of is None else bias_of(at[0], at[1])
    if mask is not None and mask.dtype != bool:
        mask, bias = None, mask if bias is None else mask + bias
    y = attended(heads[0], heads[1], heads[2], mask, bias)
    return jax.vmap(output)(y.reshape(y.shape[0], -1))


def default_head(rep: Representation, num_heads: int) -> Representation:
    """The largest whole number of regular copies that keeps the width, at least one.

    Raises:
        ValueError: If the group is infinite.
    """
    if rep.group.order is None:
        raise ValueError(
            f"{_NAME}: head_type: {rep.group.name} is infinite and has no regular representation; "
            "give head_type, such as a sum of irreps"
        )
    unit = regular(rep.group)
    return max(1, rep.size // (num_heads * unit.size)) * unit


def _copied(leaf: object) -> object:
    return leaf.copy() if isinstance(leaf, jax.Array) else leaf


def _check_batches(first: tuple[int, ...], second: tuple[int, ...]) -> None:
    try:
        jnp.broadcast_shapes(first, second)
    except ValueError:
        raise ValueError(
            f"{_NAME}: q and k: expected batch axes that broadcast, got {first} and {second}"
        ) from None


def _runs(inputs: Inputs, layers: Sequence[AbstractModule]) -> list[tuple[int, int]]:
    """Stretches of one and the same input, read as one type."""
    both = [(id(x), layer.in_type) for x, layer in zip(inputs, layers, strict=True)]
    starts = [i for i, own in enumerate(both) if i == 0 or own != both[i - 1]]
    return list(zip(starts, [*starts[1:], len(inputs)], strict=True))
