"""Task: tell a screw from its mirror image, whichever way it points (SO(3)).

Three points around an origin, in any orientation; the label says on which side the third lies of
the plane through the others. Pages: Which layer do I need, Continuous groups, Getting started.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

import equivax as evx
from equivax import nn

G = evx.groups.so3()
points = 3 * G.standard
hidden = 16 * evx.representations.band_limited(G, 2)


class Classifier(eqx.Module):
    trunk: nn.Sequential
    head: eqx.nn.MLP

    def __init__(self, key):
        first, second, third = jax.random.split(key, 3)
        self.trunk = nn.Sequential(
            nn.Linear(points, hidden, warn_unused=False, key=first),
            nn.FourierNonlinearity(hidden, jnp.tanh),
            nn.Linear(hidden, hidden, key=second),
            nn.FourierNonlinearity(hidden, jnp.tanh),
            nn.InvariantPool(hidden),
        )
        self.head = eqx.nn.MLP(self.trunk.out_type.size, "scalar", 32, 1, key=third)

    def __call__(self, x):
        return jax.vmap(self.head)(self.trunk(x))


def data(key, count):
    x = jax.random.normal(key, (count, 3, 3))
    return x.reshape(count, 9), (jnp.linalg.det(x) > 0).astype(jnp.float32)


model = Classifier(jax.random.key(0))
optimiser = optax.adam(3e-3)
progress = optimiser.init(eqx.filter(model, eqx.is_inexact_array))


@eqx.filter_jit
def step(model, progress, x, y):
    loss = lambda model: optax.sigmoid_binary_cross_entropy(model(x), y).mean()
    value, gradient = eqx.filter_value_and_grad(loss)(model)
    updates, progress = optimiser.update(gradient, progress)
    return eqx.apply_updates(model, updates), progress, value


for i in range(300):
    x, y = data(jax.random.fold_in(jax.random.key(1), i), 128)
    model, progress, value = step(model, progress, x, y)

x, y = data(jax.random.key(2), 1000)
logits = model(x)
accuracy = jnp.mean((logits > 0) == y)
print(f"accuracy {accuracy:.3f}")
assert accuracy > 0.9

mirrored = (x.reshape(-1, 3, 3) * jnp.array([1.0, 1.0, -1.0])).reshape(-1, 9)
changed = jnp.mean((model(mirrored) > 0) != (logits > 0))
print(f"changed its mind about the mirror image: {changed:.3f}")
assert changed > 0.85

# Exact for the rotations that map the samples to themselves, and nearly so for all others.
turned = points.transform(x, G.element(jnp.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])))
assert jnp.mean((model(turned.astype("float32")) > 0) == (logits > 0)) > 0.98
