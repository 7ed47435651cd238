"""Statistics of invariant distributions: mean, variance, covariance."""

from ._moments import cov as cov
from ._moments import mean as mean
from ._moments import moment_coefficients as moment_coefficients
from ._moments import spectral_var as spectral_var
from ._moments import var_mean as var_mean
