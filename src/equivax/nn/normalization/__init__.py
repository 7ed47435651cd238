"""Normalisation layers."""

from ._batch import GNormBatchNorm as GNormBatchNorm
from ._layer import LayerNorm as LayerNorm
from ._layer import RMSNorm as RMSNorm
from ._running import Moments as Moments
from ._running import RunningMoments as RunningMoments
