"""Training steps on tensor images against ginjax 0.1.8, in one process by turns.

A step is value and gradient, in the parameters, of the sum of squares of the output, under jit and
in float32, on a torus of 32 x 32 pixels. Both libraries get the same images and the same weights,
and their outputs are compared before anything is timed. ginjax takes one example and is mapped over
the batch, as its own training does. Both use all cores.

- `ConvContract`: orders 0, 1 and 2 of parity 0 with 8 or 32 channels each, 3 x 3 taps, batch 8.
- U-Net: scalars and vectors, width 8, two downsamplings, 13 convolutions, batch 4; no norm, GELU
  and the vector neurons of ginjax, as is its default.

The environment, from the root of a checkout::

    python -m venv peer
    peer/bin/pip install torch==2.13.0 ginjax==0.1.8 -e .
    JAX_PLATFORMS=cpu peer/bin/python benchmarks/peers/ginjax_steps.py
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import equinox as eqx
import ginjax.geometric as peer_images
import jax
import jax.numpy as jnp
import numpy as np
from ginjax import layers as peer_layers
from ginjax import models as peer_models
from timing import by_turns, machine, milliseconds, ratio, table

import equivax as evx
from equivax.images import FilterBasis, MultiImage, Signature

SIDE = 32


@functools.cache
def peer_filters(size: int, orders: int) -> Any:
    """Filters of parity 0 and of the orders below a number, as ginjax finds them."""
    operators = peer_images.make_all_operators(2)
    return peer_images.get_invariant_filters([size], range(orders), [0], 2, operators)


def signatures(orders: int, channels: int) -> tuple[Signature, Any]:
    """Tensors of parity 0 and of the orders below a number: equivax's signature and ginjax's."""
    ours = Signature([((k, 0), channels) for k in range(orders)])
    return ours, peer_images.Signature(tuple((((False,) * k, 0), channels) for k in range(orders)))


def images(orders: int, channels: int, batch: int) -> tuple[MultiImage, Any]:
    """The same random images for both."""
    blocks = {
        (k, 0): jax.random.normal(jax.random.key(k), (batch, channels, SIDE, SIDE, *[2] * k))
        for k in range(orders)
    }
    return MultiImage(blocks, 2), peer_images.MultiImage(blocks, 2)


# ---- the same weights ------------------------------------------------------------------------


def label(type_: Any) -> str:
    """A type of ginjax, as equivax names it."""
    return f"k{len(type_[0])}p{type_[1]}"


def given_conv(ours: Any, peer: peer_layers.ConvContract) -> evx.nn.ConvContract:
    """Our convolution with ginjax's kernel and biases."""
    given = {(len(k), p): np.asarray(a) for (k, p), a in peer.invariant_filters.items()}
    basis = FilterBasis(ours.in_signature, ours.out_signature, ours.basis.kernel, ours.space, given)
    weights = {
        f"{label(source)}>{label(target)}": array
        for source, targets in peer.weights.items()
        for target, array in targets.items()
    }
    bias = {label(type_): array for type_, array in peer.bias.items()}
    return eqx.tree_at(lambda c: c.bias, ours.with_kernel(basis.expand(weights)), bias)


def given_block(ours: evx.models.ConvBlock, peer: Any) -> evx.models.ConvBlock:
    """Our block with ginjax's weights; ginjax's is a convolution or one with vector neurons."""
    if isinstance(peer, peer_layers.ConvContract):
        layers: tuple[Any, ...] = (given_conv(ours.layers[0], peer),)
    else:
        old: Any = ours.layers[1]
        neuron = evx.nn.VectorNeuron(
            old.in_type, activation=old.activation, convention="magnitude", key=jax.random.key(0)
        )
        weight = {label(type_): array for type_, array in peer.nonlinearity.weights.items()}
        neuron = eqx.tree_at(lambda n: n.weight, neuron, weight)
        layers = (given_conv(ours.layers[0], peer.conv), neuron)
    return eqx.tree_at(lambda b: b.layers, ours, layers)


def given_unet(ours: evx.models.TensorUNet, peer: peer_models.UNet) -> evx.models.TensorUNet:
    """Our U-Net with ginjax's weights; ginjax lists the way up from below."""

    def parts(model: Any) -> list[Any]:
        flat = [block for level in (*model.down, *model.merges) for block in level]
        return [*flat, *model.ups, model.head]

    down = [peer.embedding, *(blocks for _, blocks in peer.downsample_blocks)]
    up = peer.upsample_blocks[::-1]
    theirs = [block for level in (*down, *(blocks for _, blocks in up)) for block in level]
    theirs += [*(conv for conv, _ in up), peer.decode]
    given = [given_block(a, b) for a, b in zip(parts(ours), theirs, strict=True)]
    return eqx.tree_at(parts, ours, given)


# ---- what is timed ---------------------------------------------------------------------------


def step_of(function: Callable[[Any, Any], Any], model: Any, x: Any) -> Callable[[], Any]:
    """A call without arguments: value and gradient of the sum of squares."""

    @eqx.filter_jit
    @eqx.filter_value_and_grad
    def step(model: Any, x: Any) -> jax.Array:
        return jnp.sum(jnp.stack([jnp.sum(y**2) for y in jax.tree.leaves(function(model, x))]))

    return functools.partial(step, model, x)


def compared(name: str, ours: Any, theirs: Any, peer_call: Any, x: Any, rounds: int) -> list[Any]:
    """A row, after a check that parameters are as many and outputs agree.

    Args:
        name: Of the row.
        ours: Module of equivax.
        theirs: Module of ginjax.
        peer_call: Function of ginjax's module and images that returns images.
        x: Images of equivax and of ginjax.
        rounds: How often each is timed.
    """
    calls = (lambda model, x: model(x), peer_call)
    pairs = list(zip(calls, (ours, theirs), x, strict=True))
    count = sum(leaf.size for leaf in jax.tree.leaves(eqx.filter(ours, eqx.is_array)))
    assert count == peer_models.count_params(theirs), f"{name}: numbers of parameters differ"
    found, wanted = (eqx.filter_jit(call)(model, image) for call, model, image in pairs)
    for (k, p), block in wanted.items():
        scale = float(jnp.max(jnp.abs(block)))
        np.testing.assert_allclose(found[len(k), p], block, rtol=0, atol=1e-4 * scale)
    names = ("equivax", "ginjax")
    steps = {who: step_of(*pair) for who, pair in zip(names, pairs, strict=True)}
    times = by_turns(steps, rounds=rounds)
    numbers = (milliseconds(times[who]) for who in names)
    return [name, count, *numbers, ratio(times["ginjax"], times["equivax"])]


def convolution(channels: int, rounds: int) -> list[Any]:
    """A row about `ConvContract`."""
    ours, theirs = signatures(3, channels)
    peer = peer_layers.ConvContract(theirs, theirs, peer_filters(3, 5), key=jax.random.key(0))
    conv = given_conv(evx.nn.ConvContract(ours, ours, key=jax.random.key(0)), peer)

    def call(model: Any, x: Any) -> Any:
        return jax.vmap(model)(x)

    x = images(3, channels, 8)
    return compared(f"ConvContract, {channels} channels", conv, peer, call, x, rounds)


def unet(rounds: int) -> list[Any]:
    """A row about U-Nets."""
    ours, theirs = signatures(2, 1)
    peer = peer_models.UNet(
        *(2, theirs, theirs),
        depth=8,
        num_downsamples=2,
        conv_filters=peer_filters(3, 3),
        upsample_filters=peer_filters(2, 3),
        key=jax.random.key(0),
    )
    net = evx.models.TensorUNet(
        ours, ours, width=8, num_downsamples=2, norm=None, key=jax.random.key(0)
    )

    def call(model: Any, x: Any) -> Any:  # of an image and a state, which there is none of
        return jax.vmap(model, (0, None), (0, None))(x, None)[0]

    x = images(2, 1, 4)
    return compared("U-Net, width 8", given_unet(net, peer), peer, call, x, rounds)


def main() -> None:
    """Prints a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--channels", type=int, nargs="*", default=[8, 32])
    arguments = parser.parse_args()
    print(f"{machine()}; equinox {eqx.__version__}\n")
    rows = []
    for channels in arguments.channels:  # wide steps of ginjax take many seconds
        rows.append(convolution(channels, max(1, arguments.rounds * 8 // channels)))
    rows.append(unet(arguments.rounds))
    header = ["training step", "parameters", "equivax (ms)", "ginjax (ms)", "times faster"]
    print(table(header, rows))


if __name__ == "__main__":
    main()
