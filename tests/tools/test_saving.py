"""What is saved comes back; what means something else is refused; fingerprints are canonical."""

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
    assert rest.startswith(b"\x93NUMPY")


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
        (lambda b: b.replace(b'"format_version": 1', b'"format_version": 9'), network, ValueError,
         "has version 9 of the format"),
        (lambda b: b.replace(b'"basis_version": 1', b'"basis_version": 0'), network, ValueError,
         "with version 0 of the bases"),
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


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    model, state = trained()
    evx.save(tmp_path / "m", model, state)
    before = (tmp_path / "m").read_bytes()

    def full(*arguments):
        raise OSError("no space left on device")

    monkeypatch.setattr(eqx, "tree_serialise_leaves", full)
    with pytest.raises(OSError, match="no space"):
        evx.save(tmp_path / "m", model, state)
    assert (tmp_path / "m").read_bytes() == before
    assert os.listdir(tmp_path) == ["m"]
