"""`vidda mini OUT`: render MiniRoCoG in parallel processes; a killed job can be resumed."""

import io
import json
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path

import numpy as np
from pydantic import Field

from vidda import video
from vidda.config import Config, Count, Processes
from vidda.data import derived
from vidda.data.manifest import csv_line, write_csv
from vidda.errors import ViddaError
from vidda.files import atomic, discard_partial, inside, require_free, sha256, write_text
from vidda.mini import labeled_layout, layout, simulation_info
from vidda.mini.clip import FACTORS, render
from vidda.mini.gesture_file import gesture_path, load_gestures
from vidda.mini.gestures import GESTURES
from vidda.mini.staging import draw_style
from vidda.progress import track
from vidda.sidecar import default_sidecar
from vidda.workers import WorkerSpawnContext, start_worker

SETTINGS = "mini.json"
ROCOG_SET = "rocog"
ROCOG_KEYS = ("syn_train", "syn_val", "real_train", "real_test", "real_factors")
BYTES_PER_CLIP = 120_000  # of 16 frames of 112x112
CHUNK = 8


class MiniConfig(Config):
    """The config of `vidda mini`. The same values give the same videos."""

    out: Path = Field(description="folder to write the dataset into")
    gestures: str = Field(
        ROCOG_SET,
        description="rocog (RoCoG-v2's seven, in its tree), drone13, or a file of your own;"
        " see docs/add_a_gesture.md",
    )
    seed: int = Field(0, ge=0, description="decides every clip; tune on one seed, report on others")
    size: int | None = Field(
        None,
        ge=32,
        le=512,
        multiple_of=2,
        description="height and width of the frames, in pixels; by default 112 for rocog, else 128",
    )
    frames: Count = Field(16, description="frames per clip")
    fps: float = Field(8.0, gt=0, description="frames per second")
    clips: int = Field(60, ge=2, description="clips per class of other gestures than rocog")
    syn_train: Count = Field(
        45, description="synthetic training clips per class and view, of rocog"
    )
    syn_val: Count = Field(
        10, description="synthetic validation clips per class and view, of rocog"
    )
    real_train: Count = Field(60, description="real training clips per class and view, of rocog")
    real_test: Count = Field(40, description="real test clips per class and view, of rocog")
    real_factors: tuple[str, ...] = Field(
        tuple(sorted(FACTORS)),
        description="factors that make real clips look real; fewer for a diagnosis",
    )
    jobs: Processes = 0

    @property
    def sizes(self) -> layout.Sizes:
        """The numbers of clips per class and view."""
        return layout.Sizes(self.syn_train, self.syn_val, self.real_train, self.real_test)

    @property
    def side(self) -> int:
        """The height and width of the frames, in pixels."""
        return self.size or (112 if self.gestures == ROCOG_SET else 128)


def run(config: MiniConfig, *, dry_run: bool, resume: bool) -> int:
    """Render every clip that is not there yet, then write lists and what else the tree has.

    Returns 0, or 1 if clips were lost meanwhile. dry_run: only print the plan. resume: continue in
    a folder that holds this dataset. Raises ViddaError for a folder that holds something else, and
    for gestures that cannot be read.
    """
    _check_keys(config)
    plans = _plans(config)
    settings = _settings(config)
    _check_folder(config.out, settings, resume)
    missing = _missing(config.out, plans)
    pixels = config.frames * config.side * config.side
    require_free(config.out, BYTES_PER_CLIP * len(missing) * pixels // (16 * 112**2))
    title = "MiniRoCoG" if config.gestures == ROCOG_SET else f"gestures {config.gestures}"
    print(f"{title}, seed {config.seed}: {len(plans)} clips of {config.frames} frames at")
    print(f"{config.side}x{config.side} in {config.out}, {len(plans) - len(missing)} already there")
    if dry_run:
        return 0
    discard_partial(config.out)
    write_text(config.out / SETTINGS, settings)
    progress = track(
        _render_all(config, missing),
        label="rendering",
        total=len(plans),
        unit="clips",
        done=len(plans) - len(missing),
    )
    for _ in progress:
        pass
    lost = len(_missing(config.out, plans, content=False))
    if lost:
        write_text(config.out / SETTINGS, settings)  # or --resume would not know the folder
        print(f"{lost} clips were lost while others were rendered; --resume renders them again")
        return 1
    derived.sync_recorded(config.out)
    if config.gestures == ROCOG_SET:
        _write_lists(config, plans)
        layout_config = "configs/prepare/rocog_v2.yaml"
    else:
        _write_labels(config, plans)
        layout_config = "configs/prepare/mini_gestures.yaml"
    print(f"done: {config.out}; next: vidda prepare {layout_config} root={config.out}")
    return 0


def _other_keys(config: MiniConfig) -> tuple[str, ...]:
    """Return the keys that these gestures make no use of."""
    return ("clips",) if config.gestures == ROCOG_SET else ROCOG_KEYS


def _check_keys(config: MiniConfig) -> None:
    """Raise ViddaError for an unknown factor, and a key that these gestures make no use of."""
    unknown = sorted(set(config.real_factors) - FACTORS)
    if unknown:
        known = ", ".join(sorted(FACTORS))
        raise ViddaError(f"real_factors: unknown {', '.join(unknown)}; known are {known}")
    fields = MiniConfig.model_fields
    idle = [key for key in _other_keys(config) if getattr(config, key) != fields[key].default]
    if idle:
        raise ViddaError(f"{idle[0]}: has no effect on gestures={config.gestures}; take it out")


def _plans(config: MiniConfig) -> list[layout.ClipPlan]:
    if config.gestures == ROCOG_SET:
        return layout.plans(config.seed, config.sizes, frozenset(config.real_factors))
    return labeled_layout.plans(config.seed, load_gestures(config.gestures), config.clips)


def _settings(config: MiniConfig) -> str:
    """Return what decides the clips, as JSON."""
    unused = {"out", "jobs", *_other_keys(config)}
    values = config.model_dump(mode="json", exclude=unused) | {"size": config.side}
    values["gestures_sha256"] = sha256(gesture_path(config.gestures))
    return json.dumps(values, indent=1) + "\n"


def _check_folder(out: Path, settings: str, resume: bool) -> None:
    """Raise ViddaError for a folder that holds something else, or a dataset of other settings."""
    if out.exists() and not out.is_dir():
        raise ViddaError(f"{out}: is a file; choose a folder")
    if not out.exists() or not any(out.iterdir()):
        return
    present = out / SETTINGS
    if not present.exists():
        raise ViddaError(f"{out}: not empty and not of vidda mini; choose another folder")
    try:
        old, new = dict(json.loads(present.read_text(encoding="utf-8"))), json.loads(settings)
    except (ValueError, TypeError):
        raise ViddaError(f"{present}: damaged; put it back, or choose another folder") from None
    changed = [
        f"{key} is {old.get(key)!r} there, {new[key]!r} now"
        for key in new
        if old.get(key) != new[key]
    ]
    if changed:
        raise ViddaError(f"{out}: {'; '.join(changed)}; choose another folder")
    if not resume:
        raise ViddaError(f"{out}: already holds this dataset; --resume renders what is missing")


def _missing(
    out: Path, plans: list[layout.ClipPlan], *, content: bool = True
) -> list[layout.ClipPlan]:
    """Return the clips that are not intact in `out`; content: compare hashes, not only sizes."""
    return derived.missing(out, plans, lambda plan: (plan.path, plan.path), content=content)


def _render_all(config: MiniConfig, plans: list[layout.ClipPlan]) -> Iterator[str]:
    """Render in parallel; yields each clip's path as it is done."""
    chunks = [plans[at : at + CHUNK] for at in range(0, len(plans), CHUNK)]
    context = WorkerSpawnContext()
    workers = config.jobs or os.cpu_count() or 1
    with ProcessPoolExecutor(workers, mp_context=context, initializer=start_worker) as pool:
        pending = [pool.submit(_render_chunk, config, chunk) for chunk in chunks]
        try:
            for future in as_completed(pending):
                yield from future.result()
        except BrokenProcessPool:
            raise ViddaError(
                "a rendering process was killed, perhaps for lack of memory;"
                " the same command with --resume and a smaller jobs=N continues"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


def _render_chunk(config: MiniConfig, plans: list[layout.ClipPlan]) -> list[str]:
    for plan in plans:
        derived.derive_file(config.out, plan.path, plan.path, partial(_render, config, plan))
    return [plan.path for plan in plans]


def _render(config: MiniConfig, plan: layout.ClipPlan, path: Path) -> tuple[str, ...]:
    """Write one clip's video to `path`, and its sidecar; return the sidecar's path under OUT."""
    clip = render(plan.scene, config.frames, config.fps, config.side)
    truth = io.BytesIO()
    np.savez_compressed(
        truth,
        keypoints=clip.keypoints,
        keypoints_3d=clip.keypoints_3d,
        box=clip.box,
        mask=clip.mask,
        depth=clip.depth,
    )
    beside = default_sidecar(plan.path)
    with atomic(inside(config.out, beside)) as temporary:
        temporary.write_bytes(truth.getvalue())
    video.write(path, clip.frames, config.fps, crf=clip.crf)
    return (beside,)


def _write_lists(config: MiniConfig, plans: list[layout.ClipPlan]) -> None:
    """Write all files of RoCoG-v2's tree that are not videos."""
    lists: dict[str, list[str]] = {}
    for plan in plans:
        for name in plan.lists:
            lists.setdefault(name, []).append(f"{plan.path} {plan.label}\n")
    for name, lines in lists.items():
        write_text(config.out / "annotations" / f"{name}.txt", "".join(lines))
    seconds = config.frames / config.fps
    info = config.out / "simulation_info"
    for view in ("ground", "air"):
        scenes = [plan.scene for plan in plans if plan.path.startswith(f"syn/{view}/")]
        styles = [draw_style(np.random.default_rng(s.seed), s, seconds) for s in scenes]
        playlist = simulation_info.gestures_xml(layout.syn_videos(config.sizes), styles, seconds)
        for name, content in (
            (f"rocog_{view}_gestures.xml", playlist),
            (f"rocog_{view}.xml", simulation_info.scenes_xml(view)),
        ):
            with atomic(info / name) as temporary:
                temporary.write_bytes(content)
    names = {str(label): gesture for label, gesture in enumerate(GESTURES)}
    write_text(config.out / "class_dict.json", json.dumps(names))


def _write_labels(config: MiniConfig, plans: list[layout.ClipPlan]) -> None:
    """Write train.csv and val.csv, and the names of the classes."""
    for part in labeled_layout.PARTS:
        rows = [
            csv_line((plan.path, *labeled_layout.class_and_scene(plan)))
            for plan in plans
            if part in plan.lists
        ]
        write_csv(config.out / f"{part}.csv", csv_line(("path", "label", "scene")), rows)
    names = {plan.label: labeled_layout.class_and_scene(plan)[0] for plan in plans}
    write_text(
        config.out / "class_dict.json", json.dumps({str(n): names[n] for n in sorted(names)})
    )
