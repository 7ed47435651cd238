"""Warnings that every layer of maps shares."""


class UnusedIrrepsWarning(UserWarning):
    """Irreps of the input reach no output: what they carry is ignored."""
