"""Tensor images: pixels that hold scalars, vectors and tensors of any order and parity."""

from ._filter_basis import DependentFiltersWarning as DependentFiltersWarning
from ._filter_basis import FilterBasis as FilterBasis
from ._geometric_image import GeometricImage as GeometricImage
from ._invariant_filters import invariant_filters as invariant_filters
from ._multi_image import MultiImage as MultiImage
from ._signature import Signature as Signature
from ._tensors import contractions as contractions
from ._tensors import delta as delta
from ._tensors import inverse_metric as inverse_metric
from ._tensors import levi_civita as levi_civita
