"""Statistics of invariant distributions: mean, variance, covariance."""

from ._averages import Averages as Averages
from ._averages import averages_over as averages_over
from ._averages import chosen as chosen
from ._moments import cov as cov
from ._moments import mean as mean
from ._moments import moment_coefficients as moment_coefficients
from ._moments import spectral_var as spectral_var
from ._moments import var_mean as var_mean
from ._report import SymmetryReport as SymmetryReport
from ._report import SymmetryRow as SymmetryRow
from ._symmetry import symmetry_report as symmetry_report
