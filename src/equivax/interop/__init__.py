"""From and to other libraries: symmetries of robots, layouts, weights. Nothing imports it."""

from . import mujoco as mujoco
from ._impose import Imposed as Imposed
from ._impose import impose as impose
