"""mmpose's models run without xtcocotools, mmdet, pkg_resources and compiled mmcv operations."""

import subprocess
import sys

import pytest

pytest.importorskip("mmengine")

# In a process of its own: what an import leaves in sys.modules is what is tested.
USE = """
import sys
import numpy as np
from vidda.control.mmpose_import import import_mmpose_apis, shipped_config

before = set(sys.modules)
apis = import_mmpose_apis()
assert import_mmpose_apis() is apis
left = {"pkg_resources", "mmdet", "mmdet.utils", "mmcv.ops", "xtcocotools", "xtcocotools.coco"}
assert not left & (set(sys.modules) - before), left & set(sys.modules)
for name in (
    "rtmpose/coco/rtmpose-t_8xb256-420e_coco-256x192.py",
    "topdown_heatmap/coco/td-hm_res50_8xb64-210e_coco-256x192.py",
    "simcc/coco/simcc_res50_8xb64-210e_coco-256x192.py",
):
    config = shipped_config("body_2d_keypoint/" + name)
    config.model.backbone.init_cfg = None
    model = apis.init_model(config, None, device="cpu")
    image = np.random.default_rng(0).integers(0, 255, (128, 96, 3), np.uint8)
    people = apis.inference_topdown(model, image, np.array([[8, 8, 88, 120], [0, 0, 96, 128]]))
    assert [p.pred_instances.keypoints.shape for p in people] == [(1, 17, 2)] * 2
    assert all(np.isfinite(p.pred_instances.keypoints).all() for p in people)

from vidda.errors import ViddaError
from mmpose.models.heads.transformer_heads.edpose_head import MultiScaleDeformableAttention
try:
    MultiScaleDeformableAttention(embed_dims=8)
except ViddaError as error:
    assert "choose a top-down model" in str(error)
else:
    raise AssertionError("a model that needs compiled operations was built without them")
"""


@pytest.mark.slow
def test_the_models_that_mmpose_ships_run() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", USE], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_a_missing_part_is_named_with_the_remedy() -> None:
    code = (
        "import sys; sys.modules['mmcv'] = None\n"
        "from vidda.control.mmpose_import import import_mmpose_apis\n"
        "from vidda.errors import ViddaError\n"
        "try: import_mmpose_apis()\n"
        "except ViddaError as error: sys.exit(str(error))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("mmpose cannot be imported: ")
    assert done.stderr.strip().endswith("run tools/quickstart.sh again")
