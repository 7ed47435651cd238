"""Layers in parts on eight devices, and a batch on two processes: numbers, and what is sent."""

import functools
import json
import socket
import subprocess
import sys
from typing import Any

import pytest

import in_parts
import in_processes
from laws import on_cpu_devices

pytestmark = pytest.mark.slow
needs_shard_map = pytest.mark.skipif(in_parts.shard_map is None, reason="this JAX has another one")

CASES = [
    *(
        f"{kind}: {name}, {mode}"
        for name, modes in (("MLP", in_parts.MODES), ("transformer", in_parts.TRANSFORMER_MODES))
        for mode in modes
        for kind in ("fields", "both", "batch", "jit")
    ),
    "fields: attention",
]


@functools.cache
def computed() -> dict[str, dict[str, Any]]:
    found = subprocess.run(
        [sys.executable, in_parts.__file__],
        env=on_cpu_devices(8),
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr[-3000:]
    return dict(json.loads(line) for line in found.stdout.splitlines())


@needs_shard_map
@pytest.mark.parametrize("name", CASES)
def test_parts_compute_the_whole_and_send_what_plain_layers_send(name):
    found = computed()[name]
    assert found["error"] <= 5e-6
    assert found["collectives"] == found["plain"]
    assert set(found["plain"]) == {"all-reduce"}
    assert found["numbers"] <= found["plain numbers"]


@needs_shard_map
@pytest.mark.parametrize("mode", in_parts.MODES)
def test_gradients_are_summed_as_coefficients(mode):
    found = computed()[f"batch: MLP, {mode}"]
    assert found["numbers"] == found["parameters"] + 1  # the loss
    if mode != "dense":
        assert computed()[f"jit: MLP, {mode}"]["numbers"] < found["plain numbers"] / 6


# ---- processes -----------------------------------------------------------------------------------


def test_two_processes_train_as_one():
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    command = [sys.executable, in_processes.__file__, f"localhost:{port}"]
    options: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    running = [
        subprocess.Popen([*command, "2", str(number)], env=on_cpu_devices(1), **options)
        for number in range(2)
    ]
    try:
        outputs = [process.communicate(timeout=300) for process in running]
    finally:
        for process in running:
            process.kill()
    for process, (_, errors) in zip(running, outputs, strict=True):
        assert process.returncode == 0, errors[-3000:]
    first, second = (json.loads(out.splitlines()[-1]) for out, _ in outputs)
    assert first == second
    alone = subprocess.run(
        [*command, "1", "0"], env=on_cpu_devices(1), capture_output=True, text=True, check=True
    )
    expected = json.loads(alone.stdout.splitlines()[-1])
    assert expected.keys() == first.keys()
    for name, losses in expected.items():
        assert first[name] == pytest.approx(losses, rel=1e-5)
        assert losses[-1] < losses[0]
