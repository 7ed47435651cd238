"""Tensor images: pixels that hold scalars, vectors and tensors of any order and parity."""

from ._filter_basis import DependentFiltersWarning as DependentFiltersWarning
from ._filter_basis import FilterBasis as FilterBasis
from ._geometric_image import GeometricImage as GeometricImage
from ._invariant_filters import invariant_filters as invariant_filters
from ._kernel_transfer import InexactTransferWarning as InexactTransferWarning
from ._kernel_transfer import transfer_kernel as transfer_kernel
from ._losses import normalized_smse as normalized_smse
from ._losses import nrmse as nrmse
from ._losses import nrmse_per_pixel as nrmse_per_pixel
from ._losses import smse as smse
from ._losses import timestep_smse as timestep_smse
from ._multi_image import MultiImage as MultiImage
from ._series import autoregressive_step as autoregressive_step
from ._series import window_indices as window_indices
from ._series import window_series as window_series
from ._signature import Signature as Signature
from ._tensors import contractions as contractions
from ._tensors import delta as delta
from ._tensors import inverse_metric as inverse_metric
from ._tensors import levi_civita as levi_civita
