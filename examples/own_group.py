"""A quadruped's mirror images, given by two sign tables: what few samples tell with the symmetry.

The mirrors permute the four legs and flip some joint angles. Motion data are simulated by a linear
system with that symmetry; its dynamics, covariance and density are estimated with and without it.
"""

import argparse
import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from tqdm import tqdm

import equivax as evx

# Joints of the legs LF, RF, LH, RH: abduction, hip, knee. A mirror image from left to right swaps
# the sides and flips abduction; one from front to back swaps the ends and flips hip and knee.
joints = np.arange(12).reshape(4, 3)
left_right = (joints[[1, 0, 3, 2]].ravel(), np.tile([-1.0, 1.0, 1.0], 4))
front_back = (joints[[2, 3, 0, 1]].ravel(), np.tile([1.0, -1.0, -1.0], 4))
G = evx.groups.from_generators([left_right, front_back], name="quadruped")
joint_space = evx.Representation.from_generators(G, [left_right, front_back], name="joints")
state = 2 * joint_space  # angles and velocities


def simulate(key: jax.Array, samples: int) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """A stable symmetric map, the covariance of the states, and noisy steps of the motion."""
    basis = evx.hom_basis(state, state)
    map_key, cov_key, x_key, noise_key = jax.random.split(key, 4)
    dynamics = 0.6 * basis.synthesize(basis.init(map_key, "orthogonal"))
    root = jnp.eye(state.size) + 0.3 * basis.synthesize(basis.init(cov_key))
    x = jax.random.normal(x_key, (samples, state.size)) @ root.T
    noise = 0.5 * jax.random.normal(noise_key, x.shape)
    return x, x @ dynamics.T + noise, dynamics, root @ root.T


def compare(key: jax.Array, samples: int, test_samples: int = 2000) -> np.ndarray:
    """Errors of the fit, the covariance and the density, each without and with symmetry."""
    x, y, dynamics, covariance = simulate(key, samples + test_samples)
    x, y, test = x[:samples], y[:samples], x[samples:]
    maps = jnp.linalg.lstsq(x, y)[0].T, evx.linalg.lstsq(x, y, state, state)
    covariances = jnp.cov(x.T), evx.stats.cov(x, x, state, state)
    normal = evx.nn.EquivariantMultivariateNormal(state, covariance="full").fit(x)
    log_density = jax.scipy.stats.multivariate_normal.logpdf
    best = log_density(test, jnp.zeros(state.size), covariance).mean()
    densities = log_density(test, x.mean(0), covariances[0]), normal.log_prob(test)
    pairs = [(maps, dynamics), (covariances, covariance)]
    norm = jnp.linalg.norm
    rows = [[norm(found - truth) / norm(truth) for found in both] for both, truth in pairs]
    return np.array([*rows, [best - log_prob.mean() for log_prob in densities]])


def main() -> None:
    """Prints a table and draws the errors."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", help="default: own_group.png; of --smoke a temporary file")
    parser.add_argument("--smoke", action="store_true", help="few sizes and one seed")
    arguments = parser.parse_args()
    folder = tempfile.mkdtemp() if arguments.smoke else ""
    output = arguments.output or Path(folder) / "own_group.png"
    sizes, seeds = ([32, 64], 1) if arguments.smoke else ([32, 48, 64, 128, 256, 512], 5)
    print(f"{G}: order {G.order}; state: {dict(state.multiplicities)}")
    keys = [jax.random.key(seed) for seed in range(seeds)]
    errors = np.array(
        [np.mean([compare(k, n) for k in keys], axis=0) for n in tqdm(sizes, disable=None)]
    )
    names = ["dynamics, relative error", "covariance, relative error", "density, nats above truth"]
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
    for panel, (axis, name) in enumerate(zip(axes, names, strict=True)):
        for column, label in enumerate(["no symmetry", "with symmetry"]):
            axis.loglog(sizes, errors[:, panel, column], "o-", label=label, base=2)
        axis.set(xlabel="samples", title=name, xticks=sizes, xticklabels=sizes)
    axes[0].legend()
    figure.savefig(output, dpi=120)
    for n, row in zip(sizes, errors, strict=True):
        cells = "  ".join(f"{a:9.3f} {b:9.3f}" for a, b in row)
        print(f"{n:4d} samples, plain and symmetric: {cells}")


if __name__ == "__main__":
    main()
