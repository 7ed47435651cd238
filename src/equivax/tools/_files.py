"""Files that are whole: written beside their place, moved there in one step, and with a digest.

Whatever interrupts a writer, the name leads to the old file or to the new one. Writers do not
disturb each other, since each has a file of its own until it is done; the last one wins.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO

MARK = b"\nequivax sha256 "
"""Begins the last line, which holds the digest of all that stands before it."""

TRAILER = len(MARK) + 64 + 1
CHUNK = 1 << 20


def checked_path(caller: str, path: object) -> Path:
    """A path from what the user gave.

    Raises:
        TypeError: If it is no path.
        ValueError: If it is empty or holds a zero byte.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"{caller}: path: expected a path, got {type(path).__name__}")
    name = os.fsdecode(path)
    if not name or "\0" in name:
        raise ValueError(f"{caller}: path: expected the name of a file, got {name!r}")
    return Path(name)


# ---- writing -----------------------------------------------------------------------------------


class Digested:
    """A file to write to that knows the digest of what was written."""

    def __init__(self, file: IO[bytes]) -> None:
        """Starts at the beginning of a file."""
        self._file, self._state = file, hashlib.sha256()

    def write(self, data: bytes) -> int:
        """Writes, as files do."""
        self._state.update(data)
        return self._file.write(data)

    def close_with_digest(self) -> None:
        """Writes the last line."""
        self._file.write(MARK + self._state.hexdigest().encode() + b"\n")


@contextlib.contextmanager
def replacing(caller: str, path: Path) -> Iterator[IO[bytes]]:
    """A new file that takes the place of ``path`` at the end of the block, if nothing is raised.

    A symbolic link stays, and what it leads to is replaced. A new file has the mode that the umask
    gives it, another keeps the mode of the old one.

    Raises:
        OSError: If the file cannot be written; the old one is as it was.
        ValueError: If the path leads to something that is no file, such as a device.
    """
    target = Path(os.path.realpath(path))
    mode = _mode_of(caller, path, target)
    beside = target.with_name(f".equivax-{secrets.token_hex(8)}.part")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(beside, flags, 0o666 if mode is None else mode)
    except OSError as error:
        reason = f"{caller}: path: no file can be made in the folder: {error.strerror}"
        raise OSError(error.errno, reason, str(target.parent)) from None
    try:
        with open(descriptor, "wb") as file:
            if mode is not None:
                os.chmod(beside, mode)  # the umask may have taken some of it
            yield file
            file.flush()
            os.fsync(file.fileno())  # else a crash may leave the new name with no content
        os.replace(beside, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(beside)
        raise
    with contextlib.suppress(OSError):  # not every system can
        _flush_folder(target.parent)


def _mode_of(caller: str, path: Path, target: Path) -> int | None:
    try:
        found = os.stat(target)
    except FileNotFoundError:
        return None
    _check_is_file(caller, path, found)
    return stat.S_IMODE(found.st_mode)


def _check_is_file(caller: str, path: Path, found: os.stat_result) -> None:
    if stat.S_ISDIR(found.st_mode):
        message = f"{caller}: path: expected a file, got a folder"
        raise IsADirectoryError(errno.EISDIR, message, str(path))
    if not stat.S_ISREG(found.st_mode):
        raise ValueError(f"{caller}: path: expected a file, got a device, socket or pipe: {path}")


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# ---- reading -----------------------------------------------------------------------------------


def opened(caller: str, path: Path) -> IO[bytes]:
    """A file to read from.

    Raises:
        OSError: If it cannot be opened, or is a folder.
        ValueError: If it is no file, such as a pipe, which would wait for a writer.
    """
    _check_is_file(caller, path, os.stat(path))
    return path.open("rb")


def checked_digest(caller: str, file: IO[bytes], path: Path) -> tuple[int, str | None]:
    """Where the last line begins, and the digest in it; the end and None if there is no such line.

    Raises:
        ValueError: If the digest is not that of the bytes before it.
    """
    size = os.fstat(file.fileno()).st_size
    file.seek(max(0, size - TRAILER))
    last = file.read(TRAILER)
    file.seek(0)
    if not last.startswith(MARK):
        return size, None
    end, state = size - TRAILER, hashlib.sha256()
    for start in range(0, end, CHUNK):
        state.update(file.read(min(CHUNK, end - start)))
    file.seek(0)
    digest = state.hexdigest()
    if last != MARK + digest.encode() + b"\n":
        raise ValueError(
            f"{caller}: path: {path} is damaged: its digest is not that of its content; copy it "
            "again from where it was whole"
        )
    return end, digest
