"""Images as tokens: patches as vectors, and where they stand."""

from ._embed import PatchEmbed as PatchEmbed
from ._embed import PatchUnembed as PatchUnembed
