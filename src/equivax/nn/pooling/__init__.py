"""Pooling layers."""

from ._invariant import InvariantPool as InvariantPool
from ._invariant import IrrepNormPool as IrrepNormPool
from ._invariant import QuadraticPool as QuadraticPool
