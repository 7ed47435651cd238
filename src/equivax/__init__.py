"""equivax: layers that commute with the action of a group, for JAX and Equinox."""

from importlib.metadata import version as _version

from . import fields as fields
from . import groups as groups
from . import hom as hom
from . import images as images
from . import interop as interop
from . import kernels as kernels
from . import linalg as linalg
from . import models as models
from . import nn as nn
from . import representations as representations
from . import spaces as spaces
from . import stats as stats
from . import testing as testing
from . import tools as tools
from . import viz as viz
from .fields import FieldType as FieldType
from .fields import GeometricTensor as GeometricTensor
from .fields import IrrepTensor as IrrepTensor
from .fields import tensor_directsum as tensor_directsum
from .hom import HomBasis as HomBasis
from .hom import hom_basis as hom_basis
from .nn import export as export
from .representations import Representation as Representation
from .representations import direct_sum as direct_sum
from .representations import induced as induced
from .representations import tensor_product as tensor_product
from .tools import describe as describe
from .tools import load as load
from .tools import save as save
from .tools import summary as summary

__version__ = _version("equivax")
