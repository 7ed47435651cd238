"""Layers made of layers, and models as plain Equinox."""

from ._export import export as export
from ._module_list import ModuleList as ModuleList
from ._multiple import Multiple as Multiple
from ._per_type import PerType as PerType
from ._sequential import Sequential as Sequential
from ._typed_function import TypedFunction as TypedFunction
