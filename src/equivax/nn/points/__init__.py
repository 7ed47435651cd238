"""Layers on points: fields at any places of a plane or of space, and the edges between them."""

from ._edges import radius_edges as radius_edges
from ._harmonics import SphericalHarmonics as SphericalHarmonics
from ._inputs import AbstractPointLayer as AbstractPointLayer
from ._inputs import PointInputs as PointInputs
from ._inputs import checked_space as checked_space
from ._point_conv import PointConv as PointConv
