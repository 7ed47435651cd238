"""What the layers of this library are made of, for those who write their own.

A layer's formula is a function of a file: arrays and plain values in, the array last. `_forward`
calls it, and `plain_layer` makes of it what `export` returns. See the guide on layers of your own.
"""

from ._core._admission import checked_signature as checked_signature
from ._core._admission import parameter_dtype as parameter_dtype
from ._core._channels import block_sums as block_sums
from ._core._channels import scale_blocks as scale_blocks
from ._core._channels import spread_blocks as spread_blocks
from ._core._channels import take_channels as take_channels
from ._core._channels import type_like as type_like
from ._core._channels import whole_fields as whole_fields
from ._core._folding import exported_chain as exported_chain
from ._core._grid_rule import as_grid_check as as_grid_check
from ._core._in_turn import in_turn as in_turn
from ._core._interpolation import resize as resize
from ._core._module import channel_axis as channel_axis
from ._core._module import representation_of as representation_of
from ._core._plain import plain_function as plain_function
from ._core._plain import plain_layer as plain_layer
from ._core._plain import plain_steps as plain_steps
from ._core._probing import check_elementwise as check_elementwise
from ._core._stateful import exported as exported
from ._core._stateful import is_stateful as is_stateful
from ._core._stateful import split_keys as split_keys
from ._core._stateful import step as step
from ._core._ways import Ways as Ways
from ._core._ways import carried as carried
from ._core._ways import ways_through as ways_through
