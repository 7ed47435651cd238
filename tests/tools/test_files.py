"""Whatever happens while a file is written, its name leads to a whole file: the old or the new."""

import errno
import os
import socket
import stat
import subprocess
import sys
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import equivax as evx

OLD, NEW = {"a": jnp.arange(5.0)}, {"a": -jnp.arange(5.0)}


def make():
    return {"a": jnp.zeros(5)}


def holds(path, tree):
    return np.array_equal(evx.load(path, make)["a"], tree["a"])


# ---- interruptions -----------------------------------------------------------------------------


class Interruption(BaseException):
    """Like a signal: no handler of ordinary errors sees it."""


def interrupted(monkeypatch, count, error):
    """Every call of the operating system counts; the one of number ``count`` raises."""
    calls = []

    def counted(name, function):
        def call(*args, **options):
            calls.append(name)
            if len(calls) == count:
                raise error
            return function(*args, **options)

        return call

    for name in ("open", "stat", "chmod", "fsync", "replace"):
        monkeypatch.setattr(os, name, counted(name, getattr(os, name)))
    written = evx.tools._files.Digested.write
    monkeypatch.setattr(evx.tools._files.Digested, "write", counted("write", written))
    return calls


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), Interruption()]
)
@pytest.mark.parametrize("old", [True, False])
def test_interrupted_anywhere_the_old_file_or_the_new_one_is_there(tmp_path, old, error):
    path = tmp_path / "m"
    seen = []
    for count in range(1, 100):
        path.unlink(missing_ok=True)
        if old:
            evx.save(path, OLD)
        with pytest.MonkeyPatch.context() as patch:
            calls = interrupted(patch, count, error)
            try:
                evx.save(path, NEW)
            except (OSError, Interruption):
                raised = True
            else:
                raised = False
        if len(calls) < count:
            break
        seen = calls
        assert os.listdir(tmp_path) in (["m"], []), calls  # nothing is left beside it
        moved = "replace" in calls[:-1]
        assert path.exists() == (old or moved)
        if path.exists():
            assert holds(path, NEW if moved else OLD)
        assert raised or moved, calls  # a folder that cannot be flushed is no failure
    assert seen.count("write") >= 3
    assert {"open", "fsync", "replace"} <= set(seen)
    assert ("chmod" in seen) == old


def test_a_full_disk_leaves_the_old_file(tmp_path, full_disk):
    path = full_disk / "m"
    evx.save(path, OLD)
    with pytest.raises(OSError, match="No space left") as caught:
        evx.save(path, {"a": jnp.zeros(1 << 20)})
    assert caught.value.errno == errno.ENOSPC
    assert holds(path, OLD)
    assert os.listdir(full_disk) == ["m"]


@pytest.fixture
def full_disk(tmp_path):
    """A disk of 1 MiB, where the machine lets the tests mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root can mount a disk")
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this machine does not let anybody mount a disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


PROCESS = """
import importlib.util, os, pathlib, sys

spec = importlib.util.spec_from_file_location("files", sys.argv[1])
files = importlib.util.module_from_spec(spec)
spec.loader.exec_module(files)  # without JAX, so that a process starts at once
content, times, dies = pathlib.Path(sys.argv[3]).read_bytes(), int(sys.argv[4]), len(sys.argv) > 5
for _ in range(times):
    with files.replacing("save", pathlib.Path(sys.argv[2])) as file:
        file.write(content[:700])
        file.flush()
        if dies:
            os._exit(9)
        file.write(content[700:])
"""


def process(path, content, times, *more):
    """Another process that writes as `save` does."""
    module = evx.tools._files.__file__
    run = [sys.executable, "-c", PROCESS, module, path, content, str(times), *more]
    return subprocess.Popen(list(map(str, run)))


def test_a_killed_process_leaves_the_old_file(tmp_path):
    path = tmp_path / "folder" / "m"
    path.parent.mkdir()
    evx.save(tmp_path / "content", NEW)
    evx.save(path, OLD)
    assert process(path, tmp_path / "content", 1, "dies").wait() == 9
    assert holds(path, OLD)
    (rest,) = set(os.listdir(path.parent)) - {"m"}
    assert rest.startswith(".equivax-")  # what a kill leaves disturbs nobody
    evx.save(path, NEW)
    assert holds(path, NEW)


# ---- several writers ---------------------------------------------------------------------------


def test_threads_and_processes_save_to_one_path(tmp_path):
    path = tmp_path / "folder" / "m"
    path.parent.mkdir()
    evx.save(path, OLD)
    evx.save(tmp_path / "content", NEW)
    others = [process(path, tmp_path / "content", 300) for _ in range(2)]
    problems, done = [], threading.Event()

    def guarded(work):
        try:
            work()
        except BaseException as error:
            problems.append(error)

    def write():
        for i in range(20):
            evx.save(path, {"a": jnp.full(5, float(i))})

    def read():
        while not done.is_set():
            found = evx.load(path, make)["a"]
            whole = any(np.array_equal(found, tree["a"]) for tree in (OLD, NEW))
            assert whole or len(set(found.tolist())) == 1

    reader = threading.Thread(target=guarded, args=[read])
    writers = [threading.Thread(target=guarded, args=[write]) for _ in range(8)]
    for thread in (reader, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    assert [process.wait() for process in others] == [0, 0]
    done.set()
    reader.join()
    assert problems == []
    assert os.listdir(path.parent) == ["m"]


# ---- other files -------------------------------------------------------------------------------


def test_files_of_the_user_beside_it_stay(tmp_path):
    (tmp_path / "m.part").write_text("mine")
    (tmp_path / "elsewhere").write_text("mine too")
    (tmp_path / ".m.part").symlink_to(tmp_path / "elsewhere")
    evx.save(tmp_path / "m", NEW)
    assert (tmp_path / "m.part").read_text() == "mine"
    assert (tmp_path / "elsewhere").read_text() == "mine too"
    assert set(os.listdir(tmp_path)) == {"m", "m.part", ".m.part", "elsewhere"}


def test_a_symbolic_link_stays_and_what_it_leads_to_is_replaced(tmp_path):
    (tmp_path / "runs").mkdir()
    first, second = tmp_path / "latest", tmp_path / "runs" / "best"
    first.symlink_to("runs/best")
    second.symlink_to("model")
    for tree in (OLD, NEW):  # the first time the link leads nowhere
        evx.save(first, tree)
        assert first.is_symlink()
        assert second.is_symlink()
        assert holds(first, tree)
        assert os.listdir(tmp_path / "runs").count("model") == 1
    assert set(os.listdir(tmp_path / "runs")) == {"best", "model"}
    (tmp_path / "round").symlink_to("round")
    with pytest.raises(OSError, match="symbolic links"):
        evx.save(tmp_path / "round", NEW)
    assert (tmp_path / "round").is_symlink()


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666, 0o400])
def test_the_mode_of_an_old_file_is_kept(tmp_path, mode):
    evx.save(tmp_path / "m", OLD)
    (tmp_path / "m").chmod(mode)
    evx.save(tmp_path / "m", NEW)
    assert stat.S_IMODE((tmp_path / "m").stat().st_mode) == mode
    assert holds(tmp_path / "m", NEW)


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_a_new_file_has_the_mode_that_the_umask_gives(tmp_path, umask):
    before = os.umask(umask)
    try:
        evx.save(tmp_path / "m", OLD)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "m").stat().st_mode) == 0o666 & ~umask


# ---- paths -------------------------------------------------------------------------------------


class Somewhere:
    """A path-like object."""

    def __init__(self, path):
        self.path = path

    def __fspath__(self):
        return self.path


def test_paths_are_what_python_takes_for_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    long = "n" * 250  # a name for which no suffix leaves room
    for path in (str(tmp_path / "a"), Somewhere("b"), Somewhere(b"c"), "ein Bär 🐻", long, "./d"):
        evx.save(path, NEW)
        assert holds(path, NEW)
        assert evx.describe(path).arrays[0].text == "float32[5]"


def call(function, path):
    return {
        "save": lambda: evx.save(path, NEW),
        "load": lambda: evx.load(path, make),
        "describe": lambda: evx.describe(path),
    }[function]()


@pytest.mark.usefixtures("unchecked_annotations")
@pytest.mark.parametrize("function", ["save", "load", "describe"])
@pytest.mark.parametrize(
    "path, error, message",
    [
        (".", IsADirectoryError, "path: expected a file, got a folder"),
        ("", ValueError, "path: expected the name of a file, got ''"),
        ("a\0b", ValueError, r"path: expected the name of a file, got 'a\\x00b'"),
        (3, TypeError, "path: expected a path, got int"),
        (b"bytes", TypeError, "path: expected a path, got bytes"),
        (None, TypeError, "path: expected a path, got NoneType"),
        ("file/m", NotADirectoryError, "Not a directory"),
        ("pipe", ValueError, "path: expected a file, got a device, socket or pipe"),
        ("socket", ValueError, "path: expected a file, got a device, socket or pipe"),
        ("/dev/null", ValueError, "path: expected a file, got a device, socket or pipe"),
    ],
)
def test_what_is_no_file_is_refused(tmp_path, monkeypatch, function, path, error, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    os.mkfifo(tmp_path / "pipe")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind("socket")
    with pytest.raises(error, match=message):
        call(function, path)
    listener.close()
    assert set(os.listdir(tmp_path)) == {"file", "pipe", "socket"}


def test_a_folder_that_is_not_there_is_named(tmp_path):
    message = "save: path: no file can be made in the folder: No such file"
    with pytest.raises(FileNotFoundError, match=message) as caught:
        evx.save(tmp_path / "none" / "m", NEW)
    assert caught.value.filename == str(tmp_path / "none")


def test_a_folder_without_permission_is_named(tmp_path, monkeypatch):
    evx.save(tmp_path / "m", OLD)
    opens = os.open

    def refuse(path, flags, *rest, **options):  # root may write anywhere
        if flags & os.O_CREAT:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return opens(path, flags, *rest, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        with pytest.raises(PermissionError, match="made in the folder: Permission denied"):
            evx.save(tmp_path / "m", NEW)
    assert holds(tmp_path / "m", OLD)


def test_saving_does_not_disturb_what_jax_computes(tmp_path):
    """Arrays are read, not moved: the model can be used after a save, and saved in a callback."""
    tree = {"a": jnp.arange(5.0)}

    def step(x):
        jax.debug.callback(lambda a: evx.save(tmp_path / "m", {"a": a}), x, ordered=True)
        return x + 1

    jax.block_until_ready(jax.jit(step)(tree["a"]))
    jax.effects_barrier()
    assert holds(tmp_path / "m", tree)
