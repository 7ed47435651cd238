"""Least squares and Gaussians with symmetry, against the dense routines of JAX."""

from __future__ import annotations

import argparse

import jax
import jax.numpy as jnp
from timing import by_turns, machine, milliseconds, ratio, table

import equivax as evx

COPIES, SAMPLES, BATCH = 20, 10_000, 4096


def least_squares(rounds: int) -> tuple[str, float, float, float]:
    """480 to 480 channels from 10,000 samples."""
    rep = COPIES * evx.groups.octahedral().regular
    x_key, noise_key = jax.random.split(jax.random.key(0))
    x = jax.random.normal(x_key, (SAMPLES, rep.size))
    y = x + 0.1 * jax.random.normal(noise_key, x.shape)
    dense = jax.jit(lambda x, y: jnp.linalg.lstsq(x, y)[0])
    symmetric = jax.jit(lambda x, y: evx.linalg.lstsq(x, y, rep, rep))
    times = by_turns(
        {"dense": lambda: dense(x, y), "equivax": lambda: symmetric(x, y)}, rounds=rounds
    )
    return _row(f"lstsq, {rep.size} to {rep.size}, {SAMPLES} samples", times)


def gaussian(rounds: int) -> list[tuple[str, float, float, float]]:
    """Log-probability and sampling, full covariance, width 480, batch 4096."""
    rep = COPIES * evx.groups.octahedral().regular
    layer = evx.nn.EquivariantMultivariateNormal(rep, covariance="full")
    u = 0.1 * jax.random.normal(jax.random.key(0), (layer.in_type.size,))
    distribution = layer(u)
    mean, covariance = distribution.mean, distribution.covariance
    y = distribution.sample(jax.random.key(1), (BATCH,))
    normal = jax.scipy.stats.multivariate_normal
    dense_log = jax.jit(lambda y, mean, cov: normal.logpdf(y, mean, cov))
    own_log = jax.jit(lambda y, u: layer(u).log_prob(y))
    dense_draw = jax.jit(
        lambda key, mean, cov: jax.random.multivariate_normal(key, mean, cov, (BATCH,))
    )
    own_draw = jax.jit(lambda key, u: layer(u).sample(key, (BATCH,)))
    key = jax.random.key(2)
    difference = jnp.abs(dense_log(y, mean, covariance) - own_log(y, u)).max()
    print(f"largest difference of the log-probabilities: {float(difference):.2g} nats\n")
    logs = by_turns(
        {"dense": lambda: dense_log(y, mean, covariance), "equivax": lambda: own_log(y, u)},
        rounds=rounds,
    )
    draws = by_turns(
        {"dense": lambda: dense_draw(key, mean, covariance), "equivax": lambda: own_draw(key, u)},
        rounds=rounds,
    )
    what = f"width {rep.size}, batch {BATCH}"
    return [_row(f"Gaussian log-probability, {what}", logs), _row(f"sampling, {what}", draws)]


def _row(name, times):
    return (
        name,
        milliseconds(times["dense"]),
        milliseconds(times["equivax"]),
        ratio(times["dense"], times["equivax"]),
    )


def main() -> None:
    """Prints a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    print(machine() + "\n")
    rows = [*gaussian(arguments.rounds), least_squares(arguments.rounds)]
    print(table(["what", "dense (ms)", "equivax (ms)", "times faster"], rows))


if __name__ == "__main__":
    main()
