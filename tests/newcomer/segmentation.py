"""Task: segment shapes on noise with a C8 U-Net to an IoU of 0.8; save, load, export.

Pages: U-Nets and segmentation, Summaries and files.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

import equivax as evx

space = evx.spaces.rot_on_r2(8)
image = mask = evx.FieldType(space, space.trivial)
SIDE = 33


def build(channels, key):
    return evx.models.UNet(image, mask, channels=channels, key=key)


options = {"channels": [16, 32]}
model, state = eqx.nn.make_with_state(build)(**options, key=jax.random.key(0))


def shapes(key, count):
    """Rectangles of all sizes and angles."""
    keys = jax.random.split(key, 4)
    centre = jax.random.uniform(keys[0], (count, 2, 1, 1), minval=-6, maxval=6)
    half = jax.random.uniform(keys[1], (count, 2, 1, 1), minval=4, maxval=9)
    angle = jax.random.uniform(keys[2], (count, 1, 1), maxval=jnp.pi)
    y, x = jnp.meshgrid(jnp.arange(SIDE) - 16.0, jnp.arange(SIDE) - 16.0, indexing="ij")
    dx, dy = x - centre[:, 0], y - centre[:, 1]
    along = jnp.abs(jnp.cos(angle) * dx + jnp.sin(angle) * dy) / half[:, 0]
    across = jnp.abs(-jnp.sin(angle) * dx + jnp.cos(angle) * dy) / half[:, 1]
    inside = ((along < 1) & (across < 1)).astype(jnp.float32)
    return (inside + 0.8 * jax.random.normal(keys[3], inside.shape))[:, None], inside[:, None]


def iou(logits, target):
    both = jnp.sum((logits > 0) & (target > 0))
    return both / jnp.sum((logits > 0) | (target > 0))


optimiser = optax.adam(2e-2)
progress = optimiser.init(eqx.filter(model, eqx.is_inexact_array))


@eqx.filter_jit
def step(model, state, progress, x, target):
    def loss(model, state):
        logits, state = model(x, state)
        return optax.sigmoid_binary_cross_entropy(logits, target).mean(), state

    (value, state), gradient = eqx.filter_value_and_grad(loss, has_aux=True)(model, state)
    updates, progress = optimiser.update(gradient, progress)
    return eqx.apply_updates(model, updates), state, progress, value


for i in range(70):
    x, target = shapes(jax.random.fold_in(jax.random.key(1), i), 8)
    model, state, progress, value = step(model, state, progress, x, target)

predict = eqx.filter_jit(lambda model, x, state: model(x, state)[0])
quiet = eqx.nn.inference_mode(model)
x, target = shapes(jax.random.key(2), 32)
logits = predict(quiet, x, state)
print(f"IoU {iou(logits, target):.3f}")
assert iou(logits, target) > 0.8

quarter = space.group.element(2)
turned = predict(quiet, image.transform(x, quarter), state)
assert jnp.allclose(turned, mask.transform(logits, quarter), atol=1e-2)

evx.save("unet.evx", model, state, hyperparameters=options, make=build)
again, statistics = evx.load("unet.evx", build)
assert jnp.allclose(predict(eqx.nn.inference_mode(again), x, statistics), logits, atol=1e-4)

plain = evx.export(quiet, state)
assert jnp.allclose(jax.vmap(plain)(x), logits, atol=1e-3)
