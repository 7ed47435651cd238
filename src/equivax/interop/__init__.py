"""From and to other libraries: symmetries of robots, layouts, weights. Nothing imports it."""

from . import e3nn as e3nn
from . import escnn as escnn
from . import mujoco as mujoco
from . import symm_learning as symm_learning
from ._impose import Imposed as Imposed
from ._impose import impose as impose
