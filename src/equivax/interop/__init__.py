"""From and to other libraries: symmetries of robots, layouts, weights. Nothing imports it."""

from . import mujoco as mujoco
