"""A steerable WRN-16-8 of D8 against a plain one: construction, memory of bases, compilation.

Every measurement is one new process, so that nothing is warm:

    python benchmarks/networks.py            # all, in turns
    python benchmarks/networks.py steerable  # one process, prints its figures
"""

import argparse
import functools
import itertools
import json
import subprocess
import sys
import time
import tracemalloc

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

import equivax as evx

SIDE, BATCH, CLASSES = 33, 2, 10


class PlainBlock(eqx.Module):
    """The residual block without symmetry."""

    norms: list
    convs: list
    shortcut: eqx.nn.Conv2d | None

    def __init__(self, a: int, b: int, stride: int, key):
        first, second, third = jax.random.split(key, 3)
        norm = functools.partial(eqx.nn.BatchNorm, axis_name="batch", momentum=0.9, mode="batch")
        conv = functools.partial(eqx.nn.Conv2d, padding=1, use_bias=False)
        self.norms = [norm(a), norm(b)]
        self.convs = [conv(a, b, 3, stride, key=first), conv(b, b, 3, key=second)]
        self.shortcut = None
        if a != b or stride != 1:
            self.shortcut = eqx.nn.Conv2d(a, b, 1, stride, use_bias=False, key=third)

    def __call__(self, x, state):
        y, state = self.norms[0](x, state)
        active = jax.nn.relu(y)
        y, state = self.norms[1](self.convs[0](active), state)
        y = self.convs[1](jax.nn.relu(y))
        return y + (x if self.shortcut is None else self.shortcut(active)), state


class PlainWideResNet(eqx.Module):
    """WRN-16-8 in Equinox."""

    first: eqx.nn.Conv2d
    blocks: list
    norm: eqx.nn.BatchNorm
    readout: eqx.nn.Linear

    def __init__(self, key):
        keys = iter(jax.random.split(key, 8))
        widths = [16, 128, 128, 256, 256, 512, 512]
        self.first = eqx.nn.Conv2d(3, 16, 3, padding=1, use_bias=False, key=next(keys))
        self.blocks = [
            PlainBlock(a, b, 2 if n in (2, 4) else 1, next(keys))
            for n, (a, b) in enumerate(itertools.pairwise(widths))
        ]
        self.norm = eqx.nn.BatchNorm(512, "batch", momentum=0.9, mode="batch")
        self.readout = eqx.nn.Linear(512, CLASSES, key=next(keys))

    def one(self, x, state):
        x = self.first(x)
        for block in self.blocks:
            x, state = block(x, state)
        x, state = self.norm(x, state)
        return self.readout(jax.nn.relu(x).mean(axis=(1, 2))), state

    def __call__(self, x, state):
        call = jax.vmap(self.one, axis_name="batch", in_axes=(0, None), out_axes=(0, None))
        return call(x, state)


def steerable(key):
    """The network of the peers' benchmark: regular fields of D8, as many channels."""
    space = evx.spaces.flip_rot_on_r2(8)
    images = evx.FieldType(space, 3 * space.trivial)
    return evx.models.WideResNet(images, CLASSES, depth=16, widen=8, key=key)


def measure(which: str, memory: bool) -> dict[str, float]:
    """Figures of one process."""
    make = {"plain": PlainWideResNet, "steerable": steerable}[which]
    if memory:
        tracemalloc.start()
    start = time.perf_counter()
    model, state = eqx.nn.make_with_state(make)(jax.random.key(0))
    jax.block_until_ready(jax.tree.leaves(eqx.filter(model, eqx.is_array)))
    build = time.perf_counter() - start
    optimiser = optax.sgd(0.1, momentum=0.9)
    arrays, static = eqx.partition(model, eqx.is_inexact_array)
    progress = optimiser.init(arrays)

    def step(arrays, state, progress, x, labels):
        def loss(arrays, state):
            logits, state = eqx.combine(arrays, static)(x, state)
            losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
            return losses.mean(), state

        gradient, state = jax.grad(loss, has_aux=True)(arrays, state)
        updates, progress = optimiser.update(gradient, progress, arrays)
        return optax.apply_updates(arrays, updates), state, progress

    x, labels = jnp.zeros((BATCH, 3, SIDE, SIDE)), jnp.zeros((BATCH,), jnp.int32)
    start = time.perf_counter()
    lowered = jax.jit(step).lower(arrays, state, progress, x, labels)
    middle = time.perf_counter()
    lowered.compile()
    end = time.perf_counter()
    if not memory:
        return {
            "build_s": build,
            "trace_s": middle - start,
            "compile_s": end - middle,
            "jit_s": end - start,
        }
    host = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, "*equivax*")])
    known = {id(leaf) for leaf in jax.tree.leaves((arrays, state, progress, x, labels))}
    constants = [a for a in jax.live_arrays() if id(a) not in known]
    return {
        "host_mb": sum(trace.size for trace in host.traces) / 2**20,
        "device_constants_mb": sum(a.nbytes for a in constants) / 2**20,
        "parameters": sum(a.size for a in jax.tree.leaves(arrays)),
    }


def child(*arguments: str) -> dict[str, float]:
    """The figures of a new process."""
    command = [sys.executable, __file__, *arguments]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(run.stdout.splitlines()[-1])


def main() -> None:
    """One process, or all in turns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("which", nargs="?", choices=["plain", "steerable"])
    parser.add_argument("--memory", action="store_true", help="trace memory, which takes time")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    if arguments.which:
        print(json.dumps(measure(arguments.which, arguments.memory)))
        return
    rows = {"plain": [], "steerable": []}
    for _ in range(arguments.rounds):
        for which, found in rows.items():
            found.append({**child(which), **(child(which, "--memory") if not found else {})})
    for name in rows["plain"][0]:
        pairs = [
            (p[name], s[name])
            for p, s in zip(rows["plain"], rows["steerable"], strict=True)
            if name in p
        ]
        medians = dict(zip(rows, np.median(pairs, axis=0), strict=True))
        ratios = [s / p if p else float("nan") for p, s in pairs]
        print(
            f"{name:20s} plain {medians['plain']:12.3f}  steerable {medians['steerable']:12.3f}  "
            f"ratio {float(np.median(ratios)):.2f}"
        )


if __name__ == "__main__":
    main()
