"""Pooling layers."""

from ._adaptive import PointwiseAdaptiveAvgPool as PointwiseAdaptiveAvgPool
from ._adaptive import PointwiseAdaptiveMaxPool as PointwiseAdaptiveMaxPool
from ._antialias import PointwiseAvgPoolAntialiased as PointwiseAvgPoolAntialiased
from ._antialias import PointwiseMaxPoolAntialiased as PointwiseMaxPoolAntialiased
from ._average import PointwiseAvgPool as PointwiseAvgPool
from ._cosets import SubgroupPooling as SubgroupPooling
from ._fieldwise import GroupPooling as GroupPooling
from ._fieldwise import InducedNormPool as InducedNormPool
from ._fieldwise import NormPool as NormPool
from ._invariant import InvariantPool as InvariantPool
from ._invariant import IrrepNormPool as IrrepNormPool
from ._invariant import QuadraticPool as QuadraticPool
from ._max import PointwiseMaxPool as PointwiseMaxPool
from ._norm_max import NormMaxPool as NormMaxPool
