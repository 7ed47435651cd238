"""What does it cost to import, to build bases and layers, and to compile?

Every figure is taken in a new process, several times; the median is printed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys

from timing import machine, table

IMPORT = """
import json, time
start = time.perf_counter()
import equinox
middle = time.perf_counter()
import equivax
print(json.dumps({"equinox": middle - start, "equivax adds": time.perf_counter() - middle}))
"""

ICOSAHEDRAL = """
import json, time
import equivax as evx
start = time.perf_counter()
group = evx.groups.icosahedral()
irreps = group.irreps()
matrices = [irrep.matrices for irrep in irreps]
regular = group.regular
change = regular.change_of_basis
basis = evx.hom_basis(regular, regular)
assert basis.dim == 60 and basis.elements().shape == (60, 60, 60)
print(json.dumps({"icosahedral irreps, regular, Hom basis": time.perf_counter() - start}))
"""

BUILD = """
import json, time
import equinox as eqx, jax, equivax as evx

def resident():
    with open("/proc/self/status") as status:
        line = next(line for line in status if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024

key = jax.random.key(0)
jax.block_until_ready(jax.random.normal(key, (3,)))
group = evx.groups.icosahedral()
before = resident()
start = time.perf_counter()
mlp = evx.models.MLP(group.regular, group.irrep(1), [64 * 60] * 4, key=key)
jax.block_until_ready(jax.tree.leaves(mlp))
seconds = time.perf_counter() - start
parameters = sum(leaf.nbytes for leaf in jax.tree.leaves(mlp)) / 2**20
print(json.dumps({
    "MLP 4 x 3840, build (s)": seconds,
    "MLP, memory beyond parameters (MiB)": resident() - before - parameters,
    "MLP, parameters (MiB)": parameters,
}))
"""

COMPILE = """
import json, time
import equinox as eqx, jax, jax.numpy as jnp, optax, equivax as evx

key = jax.random.key(0)
group = evx.groups.icosahedral()
mlp = evx.models.MLP(group.regular, group.irrep(1), [64 * 60] * 4, key=key)
plain = eqx.nn.MLP(60, 3, 64 * 60, 4, key=key)
x = jnp.ones((256, 60))

optimiser = optax.adamw(1e-3)

def seconds(model, x=x):
    leaves, static = eqx.partition(model, eqx.is_inexact_array)
    state = optimiser.init(leaves)
    @jax.jit
    def step(leaves, state, x):
        def loss(leaves):
            return jnp.mean(jax.vmap(eqx.combine(leaves, static))(x) ** 2)
        value, gradients = jax.value_and_grad(loss)(leaves)
        updates, state = optimiser.update(gradients, state, leaves)
        return eqx.apply_updates(leaves, updates), state, value
    start = time.perf_counter()
    step.lower(leaves, state, x).compile()
    return time.perf_counter() - start

# What only the first compilation in a process costs.
seconds(eqx.nn.MLP(3, 2, 4, 1, key=key), jnp.ones((2, 3)))
first, second = ("plain", "equivax") if ORDER else ("equivax", "plain")
models = {"plain": plain, "equivax": mlp}
found = {first: seconds(models[first]), second: seconds(models[second])}
print(json.dumps({
    "compile, plain MLP (s)": found["plain"],
    "compile, equivax MLP (s)": found["equivax"],
    "compile, equivax / plain": found["equivax"] / found["plain"],
}))
"""


def run(program: str) -> dict[str, float]:
    """Runs a program in a new interpreter; it prints one JSON object."""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Prints a Markdown table of medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    print(machine() + "\n")
    rows = []
    for program in (IMPORT, ICOSAHEDRAL, BUILD, COMPILE):
        results = [
            run(program.replace("ORDER", str(index % 2))) for index in range(arguments.repeats)
        ]
        for name in results[0]:
            values = [result[name] for result in results]
            rows.append(
                (
                    name,
                    f"{statistics.median(values):.3f}",
                    f"{min(values):.3f}",
                    f"{max(values):.3f}",
                )
            )
    print(table(["figure", "median", "min", "max"], rows))


if __name__ == "__main__":
    main()
