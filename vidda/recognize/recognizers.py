"""The union of all recognizers: adding one is one line here."""

from typing import Annotated

from pydantic import Field

from vidda.recognize.biconvlstm import BiConvLstmConfig
from vidda.recognize.pytorchvideo_video import PytorchvideoVideoConfig
from vidda.recognize.swin_image import SwinImageConfig
from vidda.recognize.torchvision_video import TorchvisionVideoConfig
from vidda.recognize.videomae import VideoMaeConfig

ModelConfig = Annotated[
    BiConvLstmConfig
    | VideoMaeConfig
    | TorchvisionVideoConfig
    | PytorchvideoVideoConfig
    | SwinImageConfig,
    Field(discriminator="name"),
]
