"""What the constructors of norms check alike."""

from __future__ import annotations


def checked_eps(caller: str, eps: float) -> float:
    """Refuses an ``eps`` that is not positive.

    Raises:
        ValueError: If it is not.
    """
    if not eps > 0:
        raise ValueError(f"{caller}: eps: expected a positive number, got {eps}")
    return float(eps)
