"""Coefficients times basis: tables on the host, products in JAX, kernels in field order."""
