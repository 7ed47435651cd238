"""Damaged files and headers from strangers: one sentence, before anything is built."""

import hashlib
import json
import math
import re
import tracemalloc

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import equivax as evx
from equivax import FieldType, nn
from golden_checkpoints import CHECKPOINTS, FOLDER


def model(fields=2, *, key):
    space = evx.spaces.rot_on_r2(4)
    x, h = FieldType(space, space.trivial), FieldType(space, fields * space.regular)
    return nn.Sequential(nn.Conv(x, h, 3, key=key), nn.InnerBatchNorm(h))


def never(**options):
    raise AssertionError("a function of the user was called")


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("whole") / "m"
    made, state = eqx.nn.make_with_state(model)(key=jax.random.key(0))
    evx.save(path, made, state, {"fields": 2})
    evx.load(path, model)
    return path.read_bytes()


def refusals(path, data: bytes) -> set[str]:
    """The messages of `load` and `describe`, which must be refusals."""
    path.write_bytes(data)
    found = set()
    for read in (lambda: evx.load(path, never), lambda: evx.describe(path)):
        with pytest.raises(ValueError, match="path: ") as caught:
            read()
        assert type(caught.value) is ValueError
        assert "\n" not in str(caught.value)
        found.add(str(caught.value).replace("describe: ", "").replace("load: ", ""))
    return found


# ---- damage ------------------------------------------------------------------------------------


def test_every_changed_byte_is_seen(tmp_path, whole):
    rng = np.random.default_rng(0)
    header = whole.index(b"\n")
    places = [
        *rng.integers(0, header + 1, 400),
        *rng.integers(header, len(whole), 500),
        *rng.integers(len(whole) - evx.tools._files.TRAILER, len(whole), 100),
    ]
    for number, place in enumerate(places):
        changed = bytearray(whole)
        changed[place] ^= 1 << rng.integers(8) if number % 2 else int(rng.integers(1, 256))
        (message,) = refusals(tmp_path / "m", bytes(changed))
        assert "damaged" in message, place


def test_every_bit_of_the_last_line_and_of_the_version_counts(tmp_path, whole):
    version = whole.index(b'"format_version": ')
    last = range(len(whole) - evx.tools._files.TRAILER, len(whole))
    for place in (*range(version, version + 20), *last):
        for bit in range(8):
            changed = bytearray(whole)
            changed[place] ^= 1 << bit
            (message,) = refusals(tmp_path / "m", bytes(changed))
            assert "damaged" in message, (place, bit)


def test_every_truncation_is_seen(tmp_path, whole):
    header = whole.index(b"\n")
    lengths = {*range(0, header, 97), *range(header - 2, len(whole), 31), len(whole) - 1}
    for length in lengths:
        (message,) = refusals(tmp_path / "m", whole[:length])
        if length > len('{"format": "equivax model"'):
            assert "damaged" in message, length


@pytest.mark.parametrize("extra", [b"\0", b"\n", b"x" * 1000])
def test_a_longer_file_is_seen(tmp_path, whole, extra):
    (message,) = refusals(tmp_path / "m", whole + extra)
    assert "damaged, or goes on behind the last array" in message
    middle = len(whole) // 2
    (message,) = refusals(tmp_path / "m", whole[:middle] + extra + whole[middle:])
    assert "is damaged: its digest is not that of its content" in message


@pytest.mark.parametrize(
    "data", [b"", b"\n", b"hello", b"{}\n", b"[1, 2]\n", b"\x93NUMPY", b"\xff" * 100, b"null\n"]
)
def test_other_files_are_told_apart(tmp_path, data):
    (message,) = refusals(tmp_path / "m", data)
    assert message.startswith("path: expected a file that equivax.save wrote")


# ---- headers from strangers --------------------------------------------------------------------


def signed(header: bytes, rest: bytes) -> bytes:
    """A file with a digest that fits: nobody but its maker is to blame."""
    data = header + b"\n" + rest
    return data + b"\nequivax sha256 " + hashlib.sha256(data).hexdigest().encode() + b"\n"


def with_header(whole: bytes, change) -> bytes:
    """The file with another header."""
    line, rest = whole.split(b"\n", 1)
    rest = rest[: -evx.tools._files.TRAILER]
    header = json.loads(line)
    changed = change(header)
    return signed(changed if isinstance(changed, bytes) else json.dumps(header).encode(), rest)


WRONG = (None, True, -1, 2**70, 1.5, "text", "", [], [1], [[]], {}, {"a": 1}, [["a", "b"]])
"""Of some type that each field does not have."""

TAKEN = {
    "make": (None, "text", ""),
    "state": (),
    "model": ("text", ""),
    "hyperparameters": ({}, {"a": 1}),
    **dict.fromkeys(("equivax", "jax", "jaxlib", "equinox", "numpy", "python"), ("text", "")),
}
"""What is right in a field, among the wrong ones."""

FIELDS = (
    *("format", "format_version", "basis_version", "fingerprint", "saved", "leaves", "parts"),
    *TAKEN,
)


@pytest.mark.parametrize("name", FIELDS)
def test_fields_of_another_type_are_named(tmp_path, whole, name):
    for value in WRONG:
        if any(value == right and type(value) is type(right) for right in TAKEN.get(name, ())):
            continue
        if name == "state" and value in (None, []):
            continue  # a file without statistics; another model, as `load` says
        data = with_header(whole, lambda header, v=value: header.update({name: v}))
        (message,) = refusals(tmp_path / "m", data)
        told = {"format": "expected a file", "fingerprint": "fingerprint", "parts": ""}
        versions = {"format_version": "version", "basis_version": "version"}
        assert {**told, **versions}.get(name, f"header: {name}: expected") in message, value
    if name == "format":
        return
    (message,) = refusals(tmp_path / "m", with_header(whole, lambda header: header.pop(name) and 0))
    assert f"is damaged: header: {name}: expected" in message
    assert message.endswith("got nothing")


def array(name="[0].bias_coeffs", dtype="float32", shape=(2,)):
    return [name, dtype, list(shape)]


@pytest.mark.parametrize(
    "entry",
    [
        array(shape=(-1,)),
        array(shape=(2**60,)),
        array(shape=(2**40, 2**40)),
        array(shape=(1,) * 100),
        array(shape=(2.0,)),
        array(shape=(True,)),
        array(shape=("2",)),
        array(shape=([2],)),
        array(dtype="object"),
        array(dtype="O"),
        array(dtype="float7"),
        array(dtype="str"),
        array(dtype="<f4"),
        array(dtype="float32,float32"),
        array(dtype="datetime64"),
        array(dtype="key"),
        array(dtype=["float32"]),
        array(dtype="a" * 30_000),
        array(name=3),
        array(name="a" * 30_000),
        array()[:2],
        [*array(), 1],
        "float32[2]",
        {"name": "a"},
    ],
)
@pytest.mark.parametrize("field", ["leaves", "state"])
def test_arrays_that_cannot_be_are_named(tmp_path, whole, field, entry):
    data = with_header(whole, lambda header: header[field].__setitem__(0, entry))
    (message,) = refusals(tmp_path / "m", data)
    assert f"is damaged: header: {field}: expected " in message
    assert len(message) < 500


@pytest.mark.parametrize("count", [10**9, 10**5])
def test_more_numbers_than_the_file_has_are_refused_before_there_is_room_for_them(
    tmp_path, whole, count
):
    data = with_header(whole, lambda h: h["state"].append(array(shape=(count,))))
    tracemalloc.start()
    try:
        (message,) = refusals(tmp_path / "m", data)
        assert tracemalloc.get_traced_memory()[1] < 10**7
    finally:
        tracemalloc.stop()
    assert re.search("ends early or is damaged: its arrays have [0-9,]+ bytes, and", message)


def nested(depth, bracket=b"[]"):
    return bracket[:1] * depth + bracket[1:] * depth


@pytest.mark.parametrize(
    "text",
    [
        nested(100_000),
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        nested(1000),
        nested(40),
        b"NaN",
        b"Infinity",
        b"-Infinity",
        b"1e999",
        b"9" * 5000,
        b'{"a": 1, "a": 2}',
        b'"\xff\xfe"',
        b"[1, 2",
        b"{'a': 1}",
        b"[" + b"[1]," * 100 + b"nan]",
        b'{"equivax.function": "os.system"}',
        b'{"equivax.function": "jax.nn.relu", "more": 1}',
        b'{"equivax.function": ["jax.nn.relu"]}',
    ],
    ids=lambda text: text[:20].decode("latin-1"),
)
def test_values_that_json_does_not_have_or_that_are_too_deep_are_refused(tmp_path, whole, text):
    data = with_header(
        whole, lambda header: json.dumps({**header, "hyperparameters": {"x": 0}}).encode().replace(
            b'"hyperparameters": {"x": 0}', b'"hyperparameters": {"x": ' + text + b"}"
        ),
    )  # fmt: skip
    assert text in data
    (message,) = refusals(tmp_path / "m", data)
    assert "hyperparameters" in message or "header is no JSON" in message or "function" in message
    assert len(message) < 1000


def test_a_field_that_stands_twice_is_refused(tmp_path, whole):
    line, _ = whole.split(b"\n", 1)
    data = with_header(whole, lambda header: line[:-1] + b', "format_version": 1}')
    (message,) = refusals(tmp_path / "m", data)
    assert "its header is no JSON (a name stands twice)" in message


def test_a_header_without_end_is_refused(tmp_path, whole):
    start = b'{"format": "equivax model", "x": "'
    (message,) = refusals(tmp_path / "m", signed(start + b"a" * (1 << 25), b""))
    assert "its header is no JSON" in message


@pytest.mark.parametrize("version", [0, 4, 2**40])
def test_other_versions_are_named(tmp_path, whole, version):
    data = with_header(whole, lambda header: header.update(format_version=version))
    (message,) = refusals(tmp_path / "m", data)
    assert f"has version {version} of the format (equivax '{evx.__version__}')" in message
    data = with_header(whole, lambda header: header.update(basis_version=version))
    (message,) = refusals(tmp_path / "m", data)
    assert f"with version {version} of the bases; this equivax has version 1" in message


def test_text_from_a_header_cannot_move_the_cursor(tmp_path, whole):
    evil = "\x1b[2J\r\u202e"
    data = with_header(whole, lambda header: header.update(basis_version=0, equivax=evil))
    (message,) = refusals(tmp_path / "m", data)
    assert evil[0] not in message
    data = with_header(whole, lambda header: header.update(model=evil, make="a\nb\x07"))
    (tmp_path / "m").write_bytes(data)
    page = str(evx.describe(tmp_path / "m"))
    assert all(line.isprintable() for line in page.split("\n"))
    assert "a?b?" in page
    line = whole.split(b"\n", 1)[0]
    about = json.loads(line)["parts"][0][1]
    data = with_header(whole, lambda header: header["parts"][0].__setitem__(1, about + evil))
    (tmp_path / "m").write_bytes(data)
    with pytest.raises(ValueError, match=r"as in the file, got") as caught:
        evx.load(tmp_path / "m", lambda fields, key: model(fields + 1, key=key))
    assert str(caught.value).isprintable()


# ---- arrays from strangers ---------------------------------------------------------------------

NPY = b"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }"


@pytest.mark.parametrize(
    "text",
    [
        NPY.replace(b"(2,)", b"(3,)"),
        NPY.replace(b"(2,)", b"(1000000000000,)"),
        NPY.replace(b"(2,)", b"(-2,)"),
        NPY.replace(b"(2,)", b"(2, 1)"),
        NPY.replace(b"(2,)", b"(" + b"1" * 3000 + b",)"),
        NPY.replace(b"<f4", b"<f8"),
        NPY.replace(b"<f4", b"<i4"),
        NPY.replace(b"<f4", b"|O"),
        NPY.replace(b"'<f4'", b"[('a', '<f4')]"),
        NPY.replace(b"False", b"None"),
        b"__import__('os').system('true')",
        b"(" * 5000,
        b"",
    ],
)
def test_headers_of_arrays_are_compared_and_never_evaluated(tmp_path, text):
    tree = {"a": jnp.ones(2)}
    evx.save(tmp_path / "m", tree)
    line, rest = (tmp_path / "m").read_bytes().split(b"\n", 1)
    assert NPY in rest
    text += b"\n"
    numbers = np.ones(2, np.float32).tobytes()
    body = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + numbers
    (tmp_path / "m").write_bytes(signed(line, body))
    with pytest.raises(ValueError, match=r"load: path: .*m ends early or is damaged: ") as caught:
        evx.load(tmp_path / "m", lambda: tree)
    assert len(str(caught.value)) < 4000
    assert "\n" not in str(caught.value)


def test_an_honest_list_of_another_model_is_refused(tmp_path, whole):
    """The parts fit what is built and the list of arrays does not, or holds too few or many."""
    for change, message in [
        (lambda h: h["leaves"].pop(), "leaves: expected the arrays that are among the parts"),
        (lambda h: h["state"].pop(), r"expected no further layer or array, .* state\[2\]"),
        (lambda h: h["leaves"][0].__setitem__(2, [1]), r"expected float32\[.*\] at .*, got"),
        (lambda h: h["leaves"][0].__setitem__(1, "int32"), "expected float32.* at .*, got int32"),
        (lambda h: h["leaves"][0].__setitem__(1, "key rbg"), "expected float32.* at .*, got key"),
        (
            lambda h: h["state"][0].__setitem__(1, "float16"),
            r"expected an array float16\[2\] at state\[0\], as in",
        ),
        (lambda h: h.update(state=None), "is damaged: expected [0-9]+ arrays, got [0-9]+"),
    ]:
        (tmp_path / "m").write_bytes(with_header(whole, lambda h, c=change: c(h) and 0))
        with pytest.raises(ValueError, match=message):
            evx.load(tmp_path / "m", model)


# ---- files of version 1 ------------------------------------------------------------------------


def test_headers_of_version_1_are_checked_too(tmp_path):
    old = (FOLDER / "wide_resnet.evx").read_bytes()
    line, rest = old.split(b"\n", 1)
    for name in json.loads(line):
        for value in (3.5, {"a": math.pi}, None, [["a"]]):
            header = {**json.loads(line), name: value}
            if (name, value) in (("hyperparameters", {"a": math.pi}), ("state", None)):
                continue
            (message,) = refusals(tmp_path / "m", json.dumps(header).encode() + b"\n" + rest)
            assert name in message or "expected a file that equivax.save wrote" in message
        header = json.loads(line)
        header.pop(name)
        (message,) = refusals(tmp_path / "m", json.dumps(header).encode() + b"\n" + rest)
        assert name in message or "expected a file that equivax.save wrote" in message


def test_files_of_version_1_that_end_early_are_refused(tmp_path):
    """Only reading the arrays shows it, since there is no digest."""
    old = (FOLDER / "fourier.evx").read_bytes()
    for length in range(0, len(old) - 1, 211):
        (tmp_path / "m").write_bytes(old[:length])
        message = "ends early or is damaged|is damaged or cut short|expected a file that equivax"
        with pytest.raises(ValueError, match=f"load: path: .*({message})"):
            evx.load(tmp_path / "m", CHECKPOINTS["fourier"].build)
