"""Every recognizer there is: adding one is one line in this union."""

from typing import Annotated

from pydantic import Field

from vidda.recognize.biconvlstm import BiConvLstm
from vidda.recognize.pytorchvideo_video import PytorchvideoVideo
from vidda.recognize.swin_image import SwinImage
from vidda.recognize.torchvision_video import TorchvisionVideo
from vidda.recognize.videomae import VideoMae

ModelConfig = Annotated[
    BiConvLstm | VideoMae | TorchvisionVideo | PytorchvideoVideo | SwinImage,
    Field(discriminator="name"),
]
