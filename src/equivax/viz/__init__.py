"""Pictures of kernels, fields and errors; needs matplotlib (``pip install 'equivax[viz]'``)."""

from ._errors import error_by_angle as error_by_angle
from ._errors import plot_error_by_angle as plot_error_by_angle
from ._fields import plot_fields as plot_fields
from ._kernels import plot_kernels as plot_kernels
from ._symmetry import plot_symmetry_report as plot_symmetry_report
