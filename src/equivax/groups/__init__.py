"""Who acts: compact groups, their elements, irreps and subgroups. NumPy only."""

from ._circle import o2 as o2
from ._circle import so2 as so2
from ._element import GroupElement as GroupElement
from ._finite import FiniteGroup as FiniteGroup
from ._generated import from_generators as from_generators
from ._group import Group as Group
from ._irrep import Irrep as Irrep
from ._irrep import IrrepId as IrrepId
from ._lie import LieGroup as LieGroup
from ._permutation import hyperoctahedral as hyperoctahedral
from ._permutation import symmetric as symmetric
from ._planar import (
    cyclic as cyclic,
)
from ._planar import (
    dihedral as dihedral,
)
from ._planar import (
    klein as klein,
)
from ._planar import (
    quaternion as quaternion,
)
from ._polish import nearest as nearest
from ._polyhedral import (
    full_icosahedral as full_icosahedral,
)
from ._polyhedral import (
    full_octahedral as full_octahedral,
)
from ._polyhedral import (
    full_tetrahedral as full_tetrahedral,
)
from ._polyhedral import (
    icosahedral as icosahedral,
)
from ._polyhedral import (
    octahedral as octahedral,
)
from ._polyhedral import (
    tetrahedral as tetrahedral,
)
from ._product import direct_product as direct_product
from ._sphere import o3 as o3
from ._sphere import so3 as so3
from ._subgroup import Subgroup as Subgroup
from ._told_apart import told_apart as told_apart
