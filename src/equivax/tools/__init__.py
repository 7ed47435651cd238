"""Whole models: what they are made of, and files to keep them in."""

from ._describe import Description as Description
from ._describe import describe as describe
from ._fingerprint import fingerprint as fingerprint
from ._leaves import StoredArray as StoredArray
from ._saving import load as load
from ._saving import save as save
from ._summary import summary as summary
