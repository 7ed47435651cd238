"""Task: a policy for a quadruped that treats left and right alike, having seen turns to the left.

Pages: Your own group, Linear layers, Save, load, export.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

import equivax as evx

# Legs LF, RF, LH, RH, each with abduction, hip, knee. The mirror exchanges left and right and
# negates abduction.
joints = np.arange(12).reshape(4, 3)
mirror = (joints[[1, 0, 3, 2]].ravel(), np.tile([-1.0, 1.0, 1.0], 4))
G = evx.groups.from_generators([mirror], name="sagittal mirror")
joint_space = G.defining
velocity = evx.Representation.from_generators(G, [np.diag([1.0, -1.0, 1.0])], "velocity")
angular = evx.Representation.from_generators(G, [np.diag([-1.0, 1.0, -1.0])], "angular velocity")
observation = 2 * joint_space + velocity + angular
reflect = G.generators[0]

# An expert that has the symmetry: a fixed equivariant network.
expert = evx.models.MLP(observation, joint_space, [16], activation=jnp.tanh, key=jax.random.key(7))


def data(key, count):
    """States while turning to the left: lateral velocity and yaw rate are positive."""
    x = jax.random.normal(key, (count, observation.size))
    x = x.at[:, jnp.array([-5, -1])].set(3 + jnp.abs(x[:, jnp.array([-5, -1])]))
    return x, expert(x)


def train(model):
    optimiser = optax.adam(3e-3)
    progress = optimiser.init(eqx.filter(model, eqx.is_inexact_array))

    @eqx.filter_jit
    def step(model, progress, x, y):
        loss = lambda model: jnp.mean((jax.vmap(model)(x) - y) ** 2)
        value, gradient = eqx.filter_value_and_grad(loss)(model)
        updates, progress = optimiser.update(gradient, progress)
        return eqx.apply_updates(model, updates), progress, value

    x, y = data(jax.random.key(1), 512)
    for _ in range(300):
        model, progress, _ = step(model, progress, x, y)
    return model


# Initial values as Equinox has them, so that the two differ in nothing but the symmetry.
options = {"init": "equinox", "key": jax.random.key(0)}
policy = train(evx.models.MLP(observation, joint_space, [64, 64], **options))
plain = train(eqx.nn.MLP(observation.size, joint_space.size, 64, 2, key=jax.random.key(0)))

x, y = data(jax.random.key(2), 512)
x_right = jnp.asarray(observation.transform(x, reflect), jnp.float32)
y_right = jnp.asarray(joint_space.transform(y, reflect), jnp.float32)


def error(model, x, y):
    return float(jnp.sqrt(jnp.mean((jax.vmap(model)(x) - y) ** 2) / jnp.mean(y**2)))


rows = {"symmetric": policy, "plain": plain}
for name, model in rows.items():
    print(f"{name}: left {error(model, x, y):.3f}, right {error(model, x_right, y_right):.3f}")
assert abs(error(policy, x, y) - error(policy, x_right, y_right)) < 1e-3
assert error(plain, x_right, y_right) > 1.1 * error(plain, x, y)
assert error(policy, x_right, y_right) < 0.8 * error(plain, x_right, y_right)
evx.testing.assert_equivariant(policy, key=jax.random.key(3))

shipped = evx.export(policy)
assert jnp.allclose(jax.vmap(shipped)(x), policy(x), atol=1e-4)
