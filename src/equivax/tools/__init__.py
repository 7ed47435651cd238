"""Whole models: what they are made of, and files to keep them in."""

from ._fingerprint import fingerprint as fingerprint
from ._saving import load as load
from ._saving import save as save
from ._summary import summary as summary
