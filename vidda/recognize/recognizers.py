"""The union of all recognizers: adding one is one line here.

Installed packages add theirs under the entry point `vidda.recognizers`, see `vidda.plugins`.
"""

from typing import TYPE_CHECKING

from vidda.plugins import union
from vidda.recognize.biconvlstm import BiConvLstmConfig
from vidda.recognize.pose_transformer import PoseTransformerConfig
from vidda.recognize.pytorchvideo_video import PytorchvideoVideoConfig
from vidda.recognize.recognizer import RecognizerConfig
from vidda.recognize.swin_image import SwinImageConfig
from vidda.recognize.timm_frames import TimmFramesConfig
from vidda.recognize.torchvision_video import TorchvisionVideoConfig
from vidda.recognize.videomae import VideoMaeConfig

if TYPE_CHECKING:
    ModelConfig = RecognizerConfig
else:
    ModelConfig = union(
        "vidda.recognizers",
        RecognizerConfig,
        BiConvLstmConfig,
        VideoMaeConfig,
        TorchvisionVideoConfig,
        PytorchvideoVideoConfig,
        SwinImageConfig,
        TimmFramesConfig,
        PoseTransformerConfig,
    )
