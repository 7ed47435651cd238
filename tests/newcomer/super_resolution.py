"""Task: twice the resolution for vector fields on the plane, better than interpolation.

Pages: Scalars, vectors, pseudo-vectors; Which layer do I need; U-Nets and segmentation.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

import equivax as evx
from equivax import nn

space = evx.spaces.flip_rot_on_r2(4)
flow = evx.FieldType(space, space.vector)
hidden = evx.FieldType(space, 4 * space.regular)
FINE = 33


def flows(key, count):
    """Swirls: velocities (x, y) of random streamfunctions, on the fine grid."""
    keys = jax.random.split(key, 3)
    k = jax.random.uniform(keys[0], (2, count, 6, 1, 1), minval=-1.1, maxval=1.1)
    phase = jax.random.uniform(keys[1], (count, 6, 1, 1), maxval=2 * jnp.pi)
    size = jax.random.normal(keys[2], (count, 6, 1, 1))
    y, x = jnp.meshgrid(16.0 - jnp.arange(FINE), jnp.arange(FINE) - 16.0, indexing="ij")
    wave = size * jnp.sin(k[0] * x + k[1] * y + phase)  # minus the derivative of the cosine
    return jnp.stack([jnp.sum(-k[1] * wave, 1), jnp.sum(k[0] * wave, 1)], axis=1)


def coarse(y):
    return y[..., ::2, ::2]  # 17 x 17, the same corners


# Corners stay where they are, so that 17 becomes 33 and quarter turns stay exact.
enlarge = nn.Upsampling(flow, size=FINE, align_corners=True)


class Network(eqx.Module):
    body: nn.Sequential

    def __init__(self, key):
        keys = jax.random.split(key, 3)
        self.body = nn.Sequential(
            nn.Conv(flow, hidden, 5, padding=2, key=keys[0]),
            nn.ELU(hidden),
            nn.Upsampling(hidden, size=FINE, align_corners=True),
            nn.Conv(hidden, hidden, 3, padding=1, key=keys[1]),
            nn.ELU(hidden),
            nn.Conv(hidden, flow, 3, padding=1, key=keys[2]),
        )

    def __call__(self, x):
        return enlarge(x) + self.body(x)  # the network learns what interpolation misses


model = Network(jax.random.key(0))
optimiser = optax.adam(3e-3)
progress = optimiser.init(eqx.filter(model, eqx.is_inexact_array))


@eqx.filter_jit
def step(model, progress, y):
    loss = lambda model: jnp.mean((model(coarse(y)) - y) ** 2)
    value, gradient = eqx.filter_value_and_grad(loss)(model)
    updates, progress = optimiser.update(gradient, progress)
    return eqx.apply_updates(model, updates), progress, value


for i in range(120):
    model, progress, value = step(
        model, progress, flows(jax.random.fold_in(jax.random.key(1), i), 8)
    )

y = flows(jax.random.key(2), 32)
run = eqx.filter_jit(model)
relative = lambda z: float(jnp.sqrt(jnp.mean((z - y) ** 2) / jnp.mean(y**2)))
print(f"interpolated {relative(enlarge(coarse(y))):.3f}, network {relative(run(coarse(y))):.3f}")
assert relative(run(coarse(y))) < 0.6 * relative(enlarge(coarse(y)))

for g in space.group.generators:  # a quarter turn and a mirror: grid and arrows
    turned = run(flow.transform(coarse(y), g))
    assert jnp.allclose(turned, flow.transform(run(coarse(y)), g), atol=1e-3)
