"""A description tells what a file holds, and runs nothing."""

import datetime
import importlib.metadata
import json
import platform

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest

import equivax as evx
from equivax import FieldType, nn
from golden_checkpoints import CHECKPOINTS, FOLDER


def network(width, activation=jax.nn.relu, *, key):
    space = evx.spaces.rot_on_r2(4)
    x, h = FieldType(space, space.trivial), FieldType(space, width * space.regular)
    layers = {
        "conv": nn.Conv(x, h, 3, key=key),
        "norm": nn.InnerBatchNorm(h),
        "act": nn.PointwiseNonlinearity(h, activation),
    }
    return nn.Sequential(layers)


@pytest.fixture
def file(tmp_path):
    options = {"width": 2, "activation": jax.nn.elu}
    model, state = eqx.nn.make_with_state(network)(**options, key=jax.random.key(0))
    evx.save(tmp_path / "model.evx", model, state, options, make=network)
    return tmp_path / "model.evx"


def test_everything_is_told(file):
    found = evx.describe(file)
    assert found.path == str(file)
    assert found.size == file.stat().st_size
    assert len(found.digest) == 64
    assert (found.format_version, found.basis_version) == (3, 1)
    for name in ("equivax", "jax", "jaxlib", "equinox", "numpy"):
        assert found.versions.pop(name) == importlib.metadata.version(name)
    assert found.versions == {"python": platform.python_version()}
    age = datetime.datetime.now(datetime.UTC) - found.saved
    assert datetime.timedelta() <= age < datetime.timedelta(minutes=5)
    assert found.model == "Sequential"
    assert found.make == f"{network.__module__}.network"
    assert found.hyperparameters == {"width": 2, "activation": jax.nn.elu}
    names = [path for path, _ in found.layers]
    assert names[:2] == ["", "conv"]
    assert {"norm", "act"} <= set(names)
    assert "kernel 3 x 3" in dict(found.layers)["conv"]
    model, state = evx.load(file, network)
    assert found.fingerprint == evx.tools.fingerprint(model)
    shapes = [tuple(leaf.shape) for leaf in jax.tree.leaves(model) if hasattr(leaf, "shape")]
    assert [a.shape for a in found.arrays if a.name != "norm.inference"] == shapes
    assert [array.shape for array in found.state] == [x.shape for x in jax.tree.leaves(state)]


def test_the_page_is_short_and_names_what_matters(file):
    page = str(evx.describe(file)).split("\n")
    assert page[0].startswith("model.evx: Sequential, ")
    assert page[0].endswith(" bytes, as written")
    assert f"equivax {evx.__version__}, jax {jax.__version__}" in page[1]
    assert "UTC" in page[1]
    assert "network" in page[3]
    assert "width=2, activation=elu" in page[4]
    assert any(line.split()[-1] == "float32[2]" for line in page)
    assert max(map(len, page)) <= 100


def test_long_lists_are_cut(tmp_path):
    evx.save(tmp_path / "m", [jnp.ones(2)] * 100)
    page = str(evx.describe(tmp_path / "m")).split("\n")
    assert page[-1] == "  and 60 more"
    assert len(page) < 60


@pytest.mark.parametrize("name", ["mlp", "wide_resnet"])
def test_files_of_version_1_are_described_too(name):
    path = FOLDER / f"{name}.evx"
    header = json.loads(path.read_bytes().split(b"\n", 1)[0])
    found = evx.describe(path)
    assert (found.format_version, found.digest, found.saved, found.make) == (1, None, None, None)
    assert found.versions == {"equivax": header["equivax"]}
    assert found.hyperparameters == CHECKPOINTS[name].hyperparameters
    assert found.fingerprint == header["fingerprint"]
    assert [a.text for a in found.state or ()] == (header["state"] or [])
    written = path.read_bytes().count(b"\x93NUMPY")
    assert len(found.arrays) + len(found.state or ()) == written > 0
    assert "without a digest" in str(found)


def test_no_code_is_run_and_no_array_is_made(file, monkeypatch):
    for module, name in ((jax, "eval_shape"), (jnp, "asarray"), (jax.random, "key")):
        monkeypatch.setattr(module, name, None)
    assert evx.describe(file).model == "Sequential"
