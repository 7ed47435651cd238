"""Networks made of equivariant layers."""

from ._conv_block import ConvBlock as ConvBlock
from ._families import ResNet as ResNet
from ._families import UNet as UNet
from ._mlp import MLP as MLP
from ._mlp import InvariantMLP as InvariantMLP
from ._on_images import GroupAverage as GroupAverage
from ._on_images import LastStep as LastStep
from ._on_images import ModelWrapper as ModelWrapper
from ._residual import ResidualBlock as ResidualBlock
from ._residual import WideResNet as WideResNet
from ._resnet import BasicBlock as BasicBlock
from ._resnet import FieldResNet as FieldResNet
from ._rollout import rollout as rollout
from ._tensor_resnet import DilResNet as DilResNet
from ._tensor_resnet import Series as Series
from ._tensor_resnet import TensorResNet as TensorResNet
from ._tensor_unet import TensorUNet as TensorUNet
from ._transfer import transfer_weights as transfer_weights
from ._transformer import TransformerDecoder as TransformerDecoder
from ._transformer import TransformerDecoderLayer as TransformerDecoderLayer
from ._transformer import TransformerEncoder as TransformerEncoder
from ._transformer import TransformerEncoderLayer as TransformerEncoderLayer
from ._unet import FieldUNet as FieldUNet
from ._vision import VisionTransformer as VisionTransformer
from ._vision import vision_size as vision_size
from ._vision_block import VisionBlock as VisionBlock
