"""Normalisation layers."""

from ._batch import AbstractBatchNorm as AbstractBatchNorm
from ._batch import BatchNormOptions as BatchNormOptions
from ._batch_norms import GNormBatchNorm as GNormBatchNorm
from ._batch_norms import IIDBatchNorm as IIDBatchNorm
from ._batch_norms import InducedNormBatchNorm as InducedNormBatchNorm
from ._batch_norms import InnerBatchNorm as InnerBatchNorm
from ._batch_norms import NormBatchNorm as NormBatchNorm
from ._field_norm import FieldNorm as FieldNorm
from ._group import GroupNorm as GroupNorm
from ._instance import InstanceNorm as InstanceNorm
from ._layer import LayerNorm as LayerNorm
from ._moments import Moments as Moments
from ._rms import RMSNorm as RMSNorm
from ._running import RunningMoments as RunningMoments
