"""What is acted on: a group with an orthogonal action on R^d, and the one axis convention."""

from ._grid import SignedPermutation as SignedPermutation
from ._grid import center as center
from ._grid import grid_points as grid_points
from ._grid import index_matrix as index_matrix
from ._grid_spaces import axis_matrices as axis_matrices
from ._grid_spaces import hyperoctahedral_on as hyperoctahedral_on
from ._grid_spaces import rotations_on as rotations_on
from ._grid_spaces import signed_matrices as signed_matrices
from ._grid_spaces import signed_permutations_on as signed_permutations_on
from ._gspace import GSpace as GSpace
from ._plane import flip_on_r2 as flip_on_r2
from ._plane import flip_rot_on_r2 as flip_rot_on_r2
from ._plane import rot_on_r2 as rot_on_r2
from ._plane import trivial_on_r2 as trivial_on_r2
from ._point_and_line import flip_on_r1 as flip_on_r1
from ._point_and_line import no_base_space as no_base_space
from ._point_and_line import on_r1 as on_r1
