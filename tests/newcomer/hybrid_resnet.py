"""Task: an Equinox ResNet of one's own, made symmetric in its first stage only.

Pages: Mixing with plain Equinox, Heads with batch norm.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_digits

import equivax as evx
from equivax import nn

space = evx.spaces.rot_on_r2(4)
image = evx.FieldType(space, space.trivial)
hidden = evx.FieldType(space, 4 * space.regular)


class PlainBlock(eqx.Module):
    """What was there before: convolution, norm, ReLU, convolution, norm, and a shortcut."""

    convs: list[eqx.nn.Conv2d]
    norms: list[eqx.nn.BatchNorm]
    shortcut: eqx.nn.Conv2d

    def __init__(self, inside, outside, stride, key):
        keys = jax.random.split(key, 3)
        options = {"padding": 1, "use_bias": False}
        self.convs = [
            eqx.nn.Conv2d(inside, outside, 3, stride=stride, key=keys[0], **options),
            eqx.nn.Conv2d(outside, outside, 3, key=keys[1], **options),
        ]
        self.norms = [eqx.nn.BatchNorm(outside, "batch", mode="batch") for _ in range(2)]
        self.shortcut = eqx.nn.Conv2d(inside, outside, 1, stride=stride, key=keys[2])

    def __call__(self, x, state):
        h, state = self.norms[0](self.convs[0](x), state)
        h, state = self.norms[1](self.convs[1](jax.nn.relu(h)), state)
        return jax.nn.relu(h + self.shortcut(x)), state


class Hybrid(eqx.Module):
    early: nn.Sequential  # equivariant
    late: list[PlainBlock]  # knows what is up
    readout: eqx.nn.Linear

    def __init__(self, key):
        keys = jax.random.split(key, 4)
        self.early = nn.Sequential(
            nn.Conv(image, hidden, 3, padding=1, use_bias=False, key=keys[0]),
            nn.InnerBatchNorm(hidden),
            nn.ReLU(hidden),
            evx.models.BasicBlock(hidden, hidden, key=keys[1]),
        )
        self.late = [PlainBlock(hidden.size, 32, 2, keys[2])]
        self.readout = eqx.nn.Linear(32, 10, key=keys[3])

    def __call__(self, x, state):
        h, state = self.early(x, state)

        def rest(h, state):
            for block in self.late:
                h, state = block(h, state)
            return self.readout(h.mean(axis=(-2, -1))), state

        mapped = jax.vmap(rest, axis_name="batch", in_axes=(0, None), out_axes=(0, None))
        return mapped(h, state)


digits = load_digits()
x = jnp.asarray(np.pad(digits.images / 16, ((0, 0), (0, 1), (0, 1))), jnp.float32)[:, None]  # 9 x 9
y = jnp.asarray(digits.target)
x, y, x_test, y_test = x[:1400], y[:1400], x[1400:], y[1400:]

model, state = eqx.nn.make_with_state(Hybrid)(jax.random.key(0))
optimiser = optax.adam(3e-3)
progress = optimiser.init(eqx.filter(model, eqx.is_inexact_array))


@eqx.filter_jit
def step(model, state, progress, x, y):
    def loss(model, state):
        logits, state = model(x, state)
        return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean(), state

    (value, state), gradient = eqx.filter_value_and_grad(loss, has_aux=True)(model, state)
    updates, progress = optimiser.update(gradient, progress)
    return eqx.apply_updates(model, updates), state, progress, value


for i in range(120):
    chosen = jax.random.choice(jax.random.fold_in(jax.random.key(1), i), 1400, (100,))
    model, state, progress, value = step(model, state, progress, x[chosen], y[chosen])

quiet = eqx.nn.inference_mode(model)
predict = eqx.filter_jit(lambda model, x, state: model(x, state)[0])
accuracy = jnp.mean(predict(quiet, x_test, state).argmax(-1) == y_test)
print(f"accuracy {accuracy:.3f}")
assert accuracy > 0.9

g = space.group.generators[0]
early = eqx.filter_jit(lambda model, x: model.early(x, state)[0])
turned = early(quiet, image.transform(x_test, g))
assert jnp.allclose(turned, hidden.transform(early(quiet, x_test), g), atol=1e-3)
upright = predict(quiet, x_test, state)
assert (
    jnp.abs(predict(quiet, image.transform(x_test, g), state) - upright).max() > 0.1
)  # on purpose

print(evx.summary(model, (4, 1, 9, 9), state=state))
evx.save("hybrid.evx", model, state, make=Hybrid)
again, statistics = evx.load("hybrid.evx", Hybrid)
again = eqx.nn.inference_mode(again)
assert jnp.allclose(predict(again, x_test, statistics), predict(quiet, x_test, state), atol=1e-4)
