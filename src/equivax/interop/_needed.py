"""Other libraries, imported when they are used, with one sentence when they are missing."""

from __future__ import annotations

import importlib
from typing import Any


def needed(module: str, caller: str, package: str | None = None) -> Any:
    """A module of another library.

    Raises:
        ImportError: If it is not installed; the message says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = package or module.split(".")[0]
        raise ImportError(
            f"{caller} needs {package}, which is not installed: pip install {package}"
        ) from error
