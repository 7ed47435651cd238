"""What is saved comes back; what means something else is refused; fingerprints are canonical."""

import hashlib
import importlib
import json
import os
import subprocess
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import equivax as evx
from equivax import FieldType, nn
from equivax.nn._core._activations import ACTIVATIONS, activation_name
from equivax.tools import fingerprint


def network(n=4, fields=2, size=5, cutoff=None, bias=False, dtype=None, *, key):
    space = evx.spaces.rot_on_r2(n)
    x, h = FieldType(space, space.trivial), FieldType(space, fields * space.regular)
    conv = nn.Conv(
        x, h, size, padding=2, use_bias=bias, frequency_cutoff=cutoff, dtype=dtype, key=key
    )
    return nn.Sequential(conv, nn.InnerBatchNorm(h, dtype=dtype), nn.ReLU(h), nn.GroupPooling(h))


def trained(**options):
    model, state = eqx.nn.make_with_state(network)(**options, key=jax.random.key(3))
    for seed in range(3):
        _, state = model(jax.random.normal(jax.random.key(seed), (4, 1, 9, 9)), state)
    return model, state


def same(a, b):
    leaves = jax.tree.leaves(a), jax.tree.leaves(b)
    assert jax.tree.structure(a) == jax.tree.structure(b)
    return all(np.array_equal(x, y) and x.dtype == y.dtype for x, y in zip(*leaves, strict=True)
               if hasattr(x, "dtype"))  # fmt: skip


@pytest.mark.parametrize("make", [network, eqx.nn.make_with_state(network)])
def test_models_with_statistics_come_back(tmp_path, make):
    model, state = trained(n=8)
    evx.save(tmp_path / "model.evx", model, state, {"n": 8})
    loaded, statistics = evx.load(tmp_path / "model.evx", make)
    assert same(loaded, model)
    assert same(jax.tree.leaves(statistics), jax.tree.leaves(state))
    x = jax.random.normal(jax.random.key(9), (2, 1, 9, 9))
    quiet = eqx.nn.inference_mode
    ours, theirs = quiet(model)(x, state)[0], quiet(loaded)(x, statistics)[0]
    assert np.array_equal(ours, theirs)
    assert os.listdir(tmp_path) == ["model.evx"]


def test_models_without_statistics_come_back(tmp_path):
    G = evx.groups.icosahedral()

    def make(hidden, key):
        return evx.models.MLP(G.standard, G.standard, hidden, key=key)

    model = make([60], jax.random.key(1))
    evx.save(str(tmp_path / "m"), model, hyperparameters={"hidden": (60,)})
    assert same(evx.load(str(tmp_path / "m"), make), model)


def test_half_precision_and_inference_mode_come_back(tmp_path):
    model, state = trained()
    small = jax.tree.map(lambda a: a.astype(jnp.bfloat16) if eqx.is_inexact_array(a) else a, model)
    evx.save(tmp_path / "m", eqx.nn.inference_mode(small), state)
    loaded, _ = evx.load(tmp_path / "m", lambda key: network(dtype=jnp.bfloat16, key=key))
    assert same(loaded, eqx.nn.inference_mode(small))
    assert loaded[1].inference is True


def test_plain_trees_come_back(tmp_path):
    tree = {"a": jnp.arange(3.0), "b": [eqx.nn.Linear(2, 3, key=jax.random.key(0)), 2.5]}
    evx.save(tmp_path / "m", tree)
    loaded = evx.load(tmp_path / "m", lambda: tree)
    assert same(loaded, tree)
    assert loaded["b"][1] == 2.5


def test_nothing_is_drawn_when_loading(tmp_path):
    model, state = trained()
    evx.save(tmp_path / "m", model, state)
    seen = []

    def make(key):
        seen.append(isinstance(key, jax.core.Tracer) or True)
        made = network(key=key)
        seen.append(isinstance(jax.tree.leaves(made)[0], jax.core.Tracer))
        return made

    evx.load(tmp_path / "m", make)
    assert seen == [True, True]


def test_the_header_is_one_line_of_json_and_nothing_is_pickled(tmp_path):
    model, state = trained()
    evx.save(tmp_path / "m", model, state, {"n": 4})
    first, rest = (tmp_path / "m").read_bytes().split(b"\n", 1)
    header = json.loads(first)
    assert header["hyperparameters"] == {"n": 4}
    assert header["fingerprint"] == fingerprint(model)
    assert header["equivax"] == evx.__version__
    assert header["jax"] == jax.__version__
    assert rest.startswith(b"\x93NUMPY")
    whole, last = (tmp_path / "m").read_bytes().rsplit(b"\n", 2)[:2]
    assert last == f"equivax sha256 {hashlib.sha256(whole).hexdigest()}".encode()


# ---- other leaves ------------------------------------------------------------------------------


def test_arrays_of_numpy_numbers_and_keys_come_back_as_they_were(tmp_path):
    def make(key):
        return {
            "wide": np.linspace(0, 1, 3),  # float64, whatever JAX's types
            "columns first": np.asfortranarray(np.arange(6, dtype=np.int16).reshape(2, 3)),
            "big endian": np.arange(3, dtype=">f8"),
            "scalar": np.float32(0.1),
            "empty": np.zeros((0, 3)),
            "of JAX's dtypes": np.ones(2, jnp.bfloat16),
            "small": [jnp.ones(3, jnp.float8_e4m3fn), jnp.ones(3, jnp.int4)],
            "key": key,
            "keys": jax.random.split(jax.random.key(7, impl="rbg"), 3),
            "numbers": [True, 2, 0.1, 1 + 2j],
            "function": jax.nn.relu,
            "text": "as it is built",
        }

    tree = make(jax.random.key(5))
    evx.save(tmp_path / "m", tree)
    loaded = evx.load(tmp_path / "m", make)
    assert loaded["key"].dtype == tree["key"].dtype
    for name in ("key", "keys"):
        ours, theirs = (jax.random.key_data(t.pop(name)) for t in (loaded, tree))
        assert np.array_equal(ours, theirs)
    assert same(loaded, tree)
    ours, theirs = jax.tree.leaves(loaded), jax.tree.leaves(tree)
    assert [type(leaf) for leaf in ours] == [type(leaf) for leaf in theirs]
    assert loaded["numbers"] == tree["numbers"]
    loaded["wide"][0] = 3.0  # an array of one's own


def test_keys_of_another_generator_are_refused(tmp_path):
    evx.save(tmp_path / "m", {"key": jax.random.key(0)})
    with pytest.raises(ValueError, match=r"expected an array key<fry>.* got an array key<rbg>"):
        evx.load(tmp_path / "m", lambda: {"key": jax.random.key(0, impl="rbg")})


class Convertible:
    """What `jax.numpy` takes for an array, and no file can give back."""

    def __jax_array__(self):
        return jnp.ones(2)


@pytest.mark.parametrize(
    "leaf, got",
    [
        (np.array(["a"]), "ndarray of dtype <U1"),
        (np.array([{}]), "ndarray of dtype object"),
        (np.zeros(2, [("x", "f4")]), "ndarray of dtype"),
        (np.array(["2020-01-01"], "datetime64[D]"), "ndarray of dtype datetime"),
        (10**30, "int of dtype object"),
        (Convertible(), "Convertible of dtype object"),
        (jax.ShapeDtypeStruct((2,), jnp.float32), "a shape without numbers"),
    ],
)
def test_leaves_without_numbers_are_refused(tmp_path, leaf, got):
    with pytest.raises(ValueError, match=r"save: model: expected numbers at \[1\], got " + got):
        evx.save(tmp_path / "m", [1.0, leaf])
    assert os.listdir(tmp_path) == []


def test_saves_inside_transformations_and_of_donated_arrays_are_refused(tmp_path):
    def body(x):
        evx.save(tmp_path / "m", {"a": x})
        return x

    message = r"save: model: expected numbers at .*a.*, got a traced array"
    for transform in (jax.jit, jax.vmap, jax.grad):
        with pytest.raises(ValueError, match=message):
            transform(body)(jnp.ones(2))
    gone = jnp.ones(2)
    gone.delete()
    with pytest.raises(ValueError, match=r"numbers at .*a.*, got a deleted array; save before"):
        evx.save(tmp_path / "m", {"a": gone})
    assert os.listdir(tmp_path) == []


def test_exported_models_are_saved_too(tmp_path):
    model, state = trained()
    evx.save(tmp_path / "m", evx.export(model, state))
    make = lambda: evx.export(*trained())  # noqa: E731
    loaded = evx.load(tmp_path / "m", make)
    x = jax.random.normal(jax.random.key(9), (1, 9, 9))
    expected = eqx.nn.inference_mode(model)(x[None], state)[0][0]
    assert np.allclose(loaded(x), expected, atol=1e-5)


# ---- precision ---------------------------------------------------------------------------------


def double(tmp_path, precision):
    with precision(True):
        model, state = eqx.nn.make_with_state(network)(dtype=jnp.float64, key=jax.random.key(1))
        evx.save(tmp_path / "m", model, state)
        return jax.tree.map(np.asarray, (model, state))


def test_a_file_of_float64_is_cast_where_asked(tmp_path, precision):
    model, state = double(tmp_path, precision)
    with pytest.raises(ValueError, match=r"types are switched off: pass dtype=jnp\.float32, or "):
        evx.load(tmp_path / "m", network)
    loaded, statistics = evx.load(tmp_path / "m", network, dtype=jnp.float32)
    assert_cast((loaded, statistics), (model, state), np.float32)
    half, statistics = evx.load(tmp_path / "m", network, dtype="bfloat16")
    assert_cast(half, model, jnp.bfloat16)
    assert_cast(statistics, state, np.float32)
    with precision(True):
        again, _ = evx.load(tmp_path / "m", network, dtype=jnp.float64)
        assert_cast(again, model, np.float64)
        with pytest.raises(ValueError, match=r"float64.* as in the file, got .*; dtype= of load"):
            evx.load(tmp_path / "m", lambda key: network(dtype=jnp.float32, key=key))


def assert_cast(ours, theirs, dtype):
    compared = 0
    for a, b in zip(*map(jax.tree.leaves, (ours, theirs)), strict=True):
        if jnp.issubdtype(getattr(b, "dtype", int), jnp.floating):
            assert a.dtype == dtype
            assert np.array_equal(np.asarray(a), np.asarray(b).astype(dtype))
            compared += 1
    assert compared


def test_integers_are_cast_only_if_they_fit(tmp_path, precision):
    with precision(True):
        evx.save(tmp_path / "m", {"a": jnp.asarray([1, 2**40])})
        evx.save(tmp_path / "n", {"a": jnp.asarray([1, 2**30])})
    make = lambda: {"a": jnp.zeros(2, int)}  # noqa: E731
    assert evx.load(tmp_path / "n", make, dtype=jnp.float32)["a"].tolist() == [1, 2**30]
    with pytest.raises(
        ValueError, match=r"load: dtype: the integers at .*a.* do not fit into int32"
    ):
        evx.load(tmp_path / "m", make, dtype=jnp.float32)


@pytest.mark.parametrize(
    "dtype, error, message",
    [
        (int, TypeError, "load: dtype: expected one of floating numbers or None"),
        ("half a number", TypeError, "load: dtype: expected one of floating numbers or None"),
        (jnp.float64, ValueError, "load: dtype: float64 needs 64-bit types; switch them on"),
    ],
)
def test_other_dtypes_are_refused(tmp_path, dtype, error, message):
    evx.save(tmp_path / "m", {"a": jnp.ones(2)})
    with pytest.raises(error, match=message):
        evx.load(tmp_path / "m", lambda: {"a": jnp.ones(2)}, dtype=dtype)


def test_dtype_does_not_excuse_another_shape(tmp_path):
    evx.save(tmp_path / "m", {"a": jnp.ones(2)})
    with pytest.raises(
        ValueError, match=r"expected an array float32\[2\] at .*a.*, .* got .*\[3\]"
    ):
        evx.load(tmp_path / "m", lambda: {"a": jnp.ones(3)}, dtype=jnp.float32)


# ---- hyperparameters ---------------------------------------------------------------------------


def through_a_file(tmp_path, hyperparameters):
    evx.save(tmp_path / "m", {}, hyperparameters=hyperparameters)
    found = {}
    evx.load(tmp_path / "m", lambda **options: found.update(options) or {})
    found.pop("key")
    assert evx.describe(tmp_path / "m").hyperparameters == found
    return found


def test_hyperparameters_come_back(tmp_path):
    given = {
        "count": np.int64(3),
        "flag": np.bool_(True),
        "rate": np.float32(0.1),
        "nested": {"a": [1, (2.5, None)], 7: "seven"},
        "text": "ein Wort, 語",
        "large": 2**80,
    }
    assert through_a_file(tmp_path, given) == {
        "count": 3,
        "flag": True,
        "rate": float(np.float32(0.1)),
        "nested": {"a": [1, [2.5, None]], "7": "seven"},
        "text": "ein Wort, 語",
        "large": 2**80,
    }


def test_activations_go_by_their_names(tmp_path):
    given = {"activation": jax.nn.gelu, "others": [jax.nn.silu, jnp.tanh, nn.squash]}
    found = through_a_file(tmp_path, given)
    assert found["activation"] is jax.nn.gelu
    assert all(a is b for a, b in zip(found["others"], given["others"], strict=True))


def test_names_of_activations_lead_to_jax():
    for name, function in ACTIVATIONS.items():
        module, attribute = name.rsplit(".", 1)
        assert getattr(importlib.import_module(module), attribute) is function
    assert activation_name(jax.nn.relu) == "jax.nn.relu"
    assert activation_name(lambda x: x) is None


def test_the_function_that_builds_must_take_the_hyperparameters(tmp_path):
    with pytest.raises(TypeError, match=r"save: make: cannot be called .*\['width'\]: .*width"):
        evx.save(tmp_path / "m", {}, hyperparameters={"width": 3}, make=network)
    assert os.listdir(tmp_path) == []


def nest(depth):
    return [] if depth == 0 else [nest(depth - 1)]


LOOP: list = []
LOOP.append(LOOP)


REFUSED = {
    "names that collide": ({1: 2, "1": 3}, "two names become '1' in JSON"),
    "None and its text": ({None: 2, "null": 3}, "two names become 'null' in JSON"),
    "a tuple as a name": ({(1, 2): 3}, r"a dict with the name \(1, 2\)"),
    "the reserved name": ({"equivax.function": 3}, "a dict with the name 'equivax.function'"),
    "an array": (np.arange(3), r"ndarray; give array.tolist\(\)"),
    "a typed key": (
        jax.random.key(0),
        "a PRNG key; load gives a key to a function that takes key=",
    ),
    "an old key": (jax.random.PRNGKey(0), r"give array.tolist\(\)"),
    "infinity": (float("inf"), "the float inf"),
    "nan of NumPy": ([np.float32("nan")], "the float nan"),
    "too deep": (nest(40), "more than 32 lists and dicts inside each other"),
    "in itself": (LOOP, "more than 32 lists and dicts inside each other"),
    "a function": (lambda x: x, "function <lambda>; activations of jax.nn go by their names"),
    "a complex number": (1j, "got complex"),
    "a very long integer": (10**5000, "the file would be refused, since it Exceeds the limit"),
    "a very long text": ("a" * (1 << 24), "the file would be refused, since it has a header of"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_hyperparameters_that_would_not_come_back_are_refused(tmp_path, name):
    value, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        evx.save(tmp_path / "m", {}, hyperparameters={"x": value})
    assert os.listdir(tmp_path) == []


# ---- fingerprints ------------------------------------------------------------------------------

VARIANTS = {
    "group": {"n": 8},
    "fields": {"fields": 3},
    "kernel size": {"size": 3},
    "frequencies": {"cutoff": "narrow"},
    "bias": {"bias": True},
    "dtype": {"dtype": jnp.float16},
}


@pytest.mark.parametrize("name", VARIANTS)
def test_fingerprints_change_with_types_and_bases(name):
    key = jax.random.key(0)
    assert fingerprint(network(key=key)) != fingerprint(network(key=key, **VARIANTS[name]))


def test_fingerprints_ignore_values_names_and_ways_to_compute():
    space = evx.spaces.rot_on_r2(4)
    x = FieldType(space, space.regular)
    renamed = FieldType(space, space.regular.renamed("other"))
    first = nn.Conv(x, x, 3, key=jax.random.key(0))
    again = nn.Conv(renamed, renamed, 3, precision="highest", key=jax.random.key(1))
    assert fingerprint(first) == fingerprint(again)
    state_inside = network(key=jax.random.key(0))
    assert fingerprint(state_inside) == fingerprint(trained()[0])


def test_types_may_be_called_otherwise_in_another_process(tmp_path):
    """Equal types in one file, whatever their fields are called, also where that changes orders."""
    space = evx.spaces.rot_on_r2(-1)
    group = space.group
    called = [group.irrep(1), space.vector, group.defining, group.irrep(1).renamed("a")]
    layers = [
        nn.Conv(type_, type_, 5, key=jax.random.key(n))
        for n, field in enumerate(called)
        for type_ in [FieldType(space, 2 * group.trivial + field)]
    ]
    assert len({tuple(layer.weights) for layer in layers}) == len(called)
    for saved in layers:
        evx.save(tmp_path / "m", saved)
        for like in layers:
            loaded = evx.load(tmp_path / "m", lambda like=like: like)
            assert set(loaded.weights) == set(like.weights)
            np.testing.assert_array_equal(loaded.kernel, saved.kernel)


def test_fingerprints_see_equal_shapes_with_other_meanings():
    key = jax.random.key(0)
    G = evx.groups.dihedral(4)
    one, two = (nn.Linear(rep, rep, key=key) for rep in (G.irrep(1, 1), G.irrep(1, 0) * 2))
    assert fingerprint(one) != fingerprint(two)
    # the mirror axis: the same groups, representations and shapes
    layers = []
    for axis in (0.0, np.pi / 2):
        space = evx.spaces.flip_rot_on_r2(4, axis)
        x = FieldType(space, space.irrep(1, 1))
        layers.append(nn.Conv(x, x, 3, key=key))
    assert fingerprint(layers[0]) != fingerprint(layers[1])
    # which elements a filter keeps
    space = evx.spaces.rot_on_r2(8)
    x = FieldType(space, space.irrep(1))
    filtered = [
        nn.Conv(x, x, 5, basis_filter=keep, key=key)
        for keep in (lambda a: a["radius"] < 1.5, lambda a: a["radius"] != 1.0)
    ]
    assert fingerprint(filtered[0]) != fingerprint(filtered[1])


def test_rounding_errors_do_not_change_a_fingerprint():
    G = evx.groups.cyclic(7)
    rep = evx.Representation.from_matrices(G, G.regular.matrices)
    noisy = evx.Representation.from_matrices(G, G.regular.matrices + 1e-13)
    key = jax.random.key(0)
    first, second = (nn.Linear(r, r, key=key) for r in (rep, noisy))
    assert first.in_type != second.in_type
    assert fingerprint(first) == fingerprint(second)


SCRIPT = """
import jax, equivax as evx
from equivax import FieldType, nn
space = evx.spaces.flip_rot_on_r2(6)
x = FieldType(space, 2 * space.regular + space.irrep(1, 2))
print(evx.tools.fingerprint(nn.Conv(x, x, 5, key=jax.random.key(0))))
"""


def test_fingerprints_agree_between_processes():
    found = set()
    for seed in ("0", "1"):
        environment = os.environ | {"PYTHONHASHSEED": seed, "JAX_PLATFORMS": "cpu"}
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
        run = subprocess.run(
            [sys.executable, "-c", SCRIPT],
            capture_output=True, text=True, env=environment, check=True,
        )  # fmt: skip
        found.add(run.stdout.strip())
    assert found == {"67b3c80e1e6eb0ed9004c0043024556b"}  # on every machine


# ---- refused -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options, message",
    [
        ({"n": 8}, r"load: make: expected a Sequential of C4 on R2: .* at the top, as in the file"),
        ({"fields": 3}, r"expected .*2 x trivial at the top.*got .*3 x trivial at the top"),
        ({"size": 3}, r"kernel 5 x 5.* at \[0\], as in the file, got .*kernel 3 x 3"),
        ({"cutoff": "narrow"}, r"highest frequencies .* as in the file, got .*highest frequencies"),
        ({"bias": True}, r"got an array float32\[2\] at \[0\].bias_coeffs"),
        ({"dtype": jnp.bfloat16}, r"expected an array float32.*, as in the file, got .*bfloat16"),
    ],
)
def test_another_model_is_refused(tmp_path, options, message):
    model, state = trained()
    evx.save(tmp_path / "m", model, state)
    with pytest.raises(ValueError, match=message) as caught:
        evx.load(tmp_path / "m", lambda key: network(**options, key=key))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("make", [nn.ConvContract, nn.GroupNorm])
def test_biases_that_do_something_else_are_refused(tmp_path, make):
    signature = evx.images.Signature((((0, 0), 2), ((1, 0), 2)))

    def build(mode, key):
        if make is nn.GroupNorm:
            return make(signature.field_type(2), bias=mode)
        return make(signature, signature, use_bias=mode, key=key)

    layer = build("auto", jax.random.key(0))
    evx.save(tmp_path / "m", layer, hyperparameters={"mode": "auto"})
    assert same(evx.load(tmp_path / "m", build), layer)
    with pytest.raises(ValueError, match=r", bias_mode=auto at .* got .*, bias_mode=mean at"):
        evx.load(tmp_path / "m", lambda mode, key: build("mean", key))


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"num_heads": 4, "copies": 1}, "num_heads=2 .* got .*, num_heads=4"),
        ({"base": 1000.0}, "base=10.0 .* got .*, base=1000.0"),
    ],
)
def test_heads_and_positions_that_mean_something_else_are_refused(tmp_path, settings, message):
    rep = evx.groups.cyclic(4).regular

    def build(key, num_heads=2, copies=2, base=10.0):
        positions = nn.RotaryPositions(2 * copies * rep, base=base)
        return nn.MultiheadAttention(
            4 * rep, num_heads, head_type=2 * copies * rep, positions=positions, key=key
        )

    layer = build(jax.random.key(0))
    evx.save(tmp_path / "m", layer)
    assert same(evx.load(tmp_path / "m", build), layer)
    with pytest.raises(ValueError, match=message):
        evx.load(tmp_path / "m", lambda key: build(key, **settings))


def test_a_filter_of_the_basis_is_refused(tmp_path):
    space = evx.spaces.rot_on_r2(8)
    x = FieldType(space, space.irrep(1))

    def make(keep, key):
        return nn.Conv(x, x, 5, basis_filter=keep, key=key)

    evx.save(tmp_path / "m", make(lambda a: a["radius"] < 1.5, jax.random.key(0)))
    with pytest.raises(ValueError, match=r"got a Conv .* in another basis at the top"):
        evx.load(tmp_path / "m", lambda key: make(lambda a: a["radius"] > 0.5, key))


@pytest.mark.usefixtures("unchecked_annotations")
@pytest.mark.parametrize(
    "change, error, message",
    [
        ({"path": 3}, TypeError, "save: path: expected a path, got int"),
        ({"state": None}, ValueError, "save: state: needed, since a layer has running statistics"),
        ({"state": {}}, TypeError, "save: state: expected an equinox.nn.State or None, got dict"),
        ({"make": 3}, TypeError, "save: make: expected a function that builds the model, got int"),
        ({"hyperparameters": [1]}, TypeError, "save: hyperparameters: expected a mapping"),
        ({"hyperparameters": {1: 2}}, TypeError, "save: hyperparameters: expected names as str"),
        ({"hyperparameters": {"f": jnp.sin}}, ValueError, "save: hyperparameters: .* for 'f'"),
        ({"hyperparameters": {"x": float("nan")}}, ValueError, "save: hyperparameters: .* for 'x'"),
    ],
)
def test_bad_input_of_save_is_refused(tmp_path, change, error, message):
    model, state = trained()
    given = {"path": tmp_path / "m", "model": model, "state": state, **change}
    with pytest.raises(error, match=message):
        evx.save(**given)
    assert os.listdir(tmp_path) == []


@pytest.mark.usefixtures("unchecked_annotations")
@pytest.mark.parametrize(
    "edit, make, error, message",
    [
        (None, 3, TypeError, "load: make: expected a function that builds the model, got int"),
        (None, lambda: network(key=jax.random.key(0)), TypeError, "load: make: cannot be called"),
        (lambda b: b"hello", network, ValueError, "load: path: expected a file that equivax.save"),
        (lambda b: b"", network, ValueError, "load: path: expected a file that equivax.save wrote"),
        (lambda b: b[:-40], network, ValueError, "load: path: .* ends early or is damaged"),
        (lambda b: b + b"x", network, ValueError, "load: path: .* goes on behind the last array"),
    ],
)  # fmt: skip
def test_bad_files_and_arguments_of_load_are_refused(tmp_path, edit, make, error, message):
    model, state = trained()
    evx.save(tmp_path / "m", model, state, {"n": 4})
    if edit is not None:
        (tmp_path / "m").write_bytes(edit((tmp_path / "m").read_bytes()))
    with pytest.raises(error, match=message):
        evx.load(tmp_path / "m", make)


def test_no_file_is_no_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        evx.load(tmp_path / "none", network)
