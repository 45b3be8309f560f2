"""Other backgrounds and clothes through masks: the label and the motion stay, the rest does not."""

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.translate.translations import write_source, written
from vidda import video
from vidda.data import load_manifest
from vidda.data import randomize_clip as picture
from vidda.data.derived import RECORDS
from vidda.data.join_manifests import join_manifests
from vidda.data.randomize import RandomizeConfig, Version, randomize, run
from vidda.data.versions import missing, plan_versions
from vidda.errors import ViddaError
from vidda.sidecar import PERSON_REGIONS, REGIONS, default_sidecar
from vidda.types import Manifest


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_source(tmp_path_factory.mktemp("source"))


def config(source: Path, out: Path, **more: Any) -> RandomizeConfig:
    content = {"input": str(source), "out": str(out), "jobs": 1, **more}
    return RandomizeConfig.model_validate_json(json.dumps(content), strict=True)


def truth(manifest: Manifest, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Frames and mask of a clip."""
    path = manifest.clips[number].path
    with np.load(manifest.root / default_sidecar(path)) as content:
        return video.read(manifest.root / path), content["mask"]


def made(manifest: Manifest, number: int, copy: int = 0, **more: Any) -> np.ndarray:
    version = Version(manifest.clips[number], copy, "")
    return randomize(config(Path("in"), Path("out"), **more), manifest, version)[0]


def core(region: np.ndarray) -> np.ndarray:
    """The inside of a region (T, H, W) bool, away from its soft edge."""
    kernel = np.ones((7, 7), np.uint8)
    return np.stack([cv2.erode(seen.astype(np.uint8), kernel) for seen in region]) > 0


@pytest.mark.parametrize("kind", ["colors", "textures", "clips"])
def test_the_person_stays_and_the_background_does_not(source: Path, kind: str) -> None:
    manifest = load_manifest(source)
    frames, mask = truth(manifest, 0)
    new = made(manifest, 0, backgrounds=[kind], clothes=False)
    assert new.shape == frames.shape and new.dtype == np.uint8
    person = core(mask > 0)
    assert person.sum() > 20
    assert np.abs(new[person].astype(int) - frames[person]).max() <= 1
    away = core(mask == 0)
    assert np.abs(new[away].astype(int) - frames[away]).mean() > 5
    still = away.all(0)
    assert (new[:, still] == new[:1, still]).all(), "one background for all frames"


def test_clothes_change_and_skin_does_not(source: Path) -> None:
    manifest = load_manifest(source)
    frames, mask = truth(manifest, 0)
    new = picture.recolor_clothes(frames, mask, REGIONS, np.random.default_rng(0))
    dressed = np.isin(mask, [REGIONS.index(name) for name in picture.CLOTHES])
    assert (new[~dressed] == frames[~dressed]).all()
    assert np.abs(new[dressed].astype(int) - frames[dressed]).mean() > 10


def test_light_and_shade_stay_on_new_clothes() -> None:
    frames = np.full((2, 32, 32, 3), 90, np.uint8)
    frames[:, :, 16:] = 60  # the shaded side
    mask = np.full((2, 32, 32), REGIONS.index("upper"), np.uint8)
    for seed in range(4):
        new = picture.recolor_clothes(frames, mask, REGIONS, np.random.default_rng(seed)).astype(
            float
        )
        assert new[:, :, :16].mean() > 1.2 * new[:, :, 16:].mean()


def test_a_pattern_goes_with_the_person() -> None:
    frames = np.full((2, 40, 40, 3), 100, np.uint8)
    mask = np.zeros((2, 40, 40), np.uint8)
    mask[0, 4:24, 4:24] = mask[1, 9:29, 11:31] = REGIONS.index("upper")
    for seed in range(4):
        new = picture.recolor_clothes(frames, mask, REGIONS, np.random.default_rng(seed))
        assert (new[0, 4:24, 4:24] == new[1, 9:29, 11:31]).all()


def test_an_empty_scene_is_seen_behind_who_moves() -> None:
    rng = np.random.default_rng(0)
    scene = cv2.resize(rng.integers(0, 255, (6, 6, 3), np.uint8), (48, 48))
    frames = np.repeat(scene[None], 6, axis=0)
    person = np.zeros((6, 48, 48), bool)
    for t in range(6):
        person[t, 10:30, 4 + 6 * t : 10 + 6 * t] = True
    frames[person] = 255
    found = picture.empty_scene(frames, person)
    assert np.abs(found.astype(int) - scene).max() <= 1
    person[:, 40:44, 40:44] = True  # never free: painted in from around it
    frames[:, 40:44, 40:44] = 255
    assert picture.empty_scene(frames, person)[41, 41].max() < 255 or scene[39, 39].max() > 250


def test_a_version_depends_on_seed_id_and_copy_alone(source: Path) -> None:
    manifest = load_manifest(source)
    kinds = ["colors", "textures"]
    one = made(manifest, 1, backgrounds=kinds)
    backwards = replace(manifest, clips=manifest.clips[::-1])
    assert (made(backwards, 1, backgrounds=kinds) == one).all(), "in another order"
    assert (made(manifest, 1, copy=1, backgrounds=kinds) != one).any()
    assert (made(manifest, 1, seed=1, backgrounds=kinds) != one).any()


def test_a_manifest_in_a_manifest_out_and_a_killed_job_goes_on(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = config(source, tmp_path / "out", copies=2)
    assert run(settings, dry_run=True, resume=False) == 0
    assert not (tmp_path / "out").exists()
    assert run(settings, dry_run=False, resume=False) == 0
    before, after = load_manifest(source), load_manifest(tmp_path / "out")
    assert [clip.parent_id for clip in after.clips] == [c.id for c in before.clips for _ in "12"]
    for number, clip in enumerate(after.clips):
        parent = before.clips[number // 2]
        assert (clip.label, clip.view, clip.subject) == (parent.label, parent.view, parent.subject)
        assert clip.domain == "randomized" and "sidecar" not in clip.meta
        assert clip.meta["randomized"] == "background and clothes"
        assert clip.meta["scene"] == parent.meta["scene"]
        info, old = (video.probe(m.root / c.path) for m, c in ((after, clip), (before, parent)))
        assert (info.frames, info.height, info.fps) == (old.frames, old.height, old.fps)
    assert len({clip.id for clip in (*before.clips, *after.clips)}) == 9

    digests = {clip.path: _digest(after.root / clip.path) for clip in after.clips}
    assert len(set(digests.values())) == 6
    for name in ("DONE", "manifest.csv", after.clips[2].path, after.clips[5].path):
        (tmp_path / "out" / name).unlink()
    with pytest.raises(ViddaError, match="--resume"):
        run(settings, dry_run=False, resume=False)
    several = config(source, tmp_path / "out", copies=2, jobs=2)
    assert run(several, dry_run=False, resume=True) == 0
    assert "2 to be made" in capsys.readouterr().out
    assert {clip.path: _digest(after.root / clip.path) for clip in after.clips} == digests
    assert load_manifest(tmp_path / "out") == after


def test_videos_that_are_lost_or_damaged_are_made_again(source: Path, tmp_path: Path) -> None:
    settings, out = config(source, tmp_path / "out", backgrounds=["colors"]), tmp_path / "out"
    assert run(settings, dry_run=False, resume=False) == 0
    whole = written(out)
    places = [out / clip.path for clip in load_manifest(out).clips]
    versions = plan_versions(load_manifest(source), 1)
    assert missing(versions, out) == []
    flipped = bytearray(places[0].read_bytes())
    flipped[-1] ^= 1
    places[0].write_bytes(flipped)
    places[1].write_bytes(b"")
    places[2].unlink()
    assert missing(versions, out) == versions
    assert run(settings, dry_run=False, resume=True) == 0, "though DONE is there"
    assert written(out) == whole and (out / "DONE").exists()
    times = [place.stat().st_mtime_ns for place in places]
    (out / RECORDS / f"{versions[1].path}.json").write_bytes(b"")
    assert missing(versions, out) == versions[1:2]
    assert run(settings, dry_run=False, resume=True) == 0
    rows = (out / "manifest.csv").read_text().splitlines(keepends=True)
    (out / "manifest.csv").write_text("".join(rows[:-1]))
    (out / "dataset.json").write_bytes(b"")
    assert run(settings, dry_run=False, resume=True) == 0
    assert written(out) == whole
    assert [a == p.stat().st_mtime_ns for a, p in zip(times, places, strict=True)] == [1, 0, 1]


def test_a_folder_deleted_in_the_middle_is_not_finished(
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out, made = tmp_path / "out", []

    def second_deletes(*args: Any) -> tuple[np.ndarray, float]:
        made.append(args)
        if len(made) == 2:
            shutil.rmtree(out)
        return randomize(*args)

    monkeypatch.setattr("vidda.data.randomize.randomize", second_deletes)
    assert run(config(source, out, backgrounds=["colors"]), dry_run=False, resume=False) == 1
    assert not (out / "DONE").exists() and not (out / "manifest.csv").exists()
    said = capsys.readouterr().out
    assert "1 of 3 videos were lost" in said and "start again" in said


def test_two_runs_on_the_same_clips_can_be_trained_on_together(
    source: Path, tmp_path: Path
) -> None:
    for name in ("randomized", "plain"):
        settings = config(source, tmp_path / name, name=name, backgrounds=["colors"])
        assert run(settings, dry_run=False, resume=False) == 0
    both = join_manifests(tuple(load_manifest(tmp_path / name) for name in ("randomized", "plain")))
    assert [clip.id.rpartition("@")[2] for clip in both.clips] == 3 * ["randomized"] + 3 * ["plain"]
    assert all((both.root / clip.path).is_file() for clip in both.clips)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_clips_without_masks_are_refused_before_the_first_video(tmp_path: Path) -> None:
    source = write_source(tmp_path / "source", clips=2)
    for truth_file in (tmp_path / "source" / "sidecar").rglob("*.npz"):
        truth_file.unlink()
    with pytest.raises(ViddaError) as told:
        run(config(source, tmp_path / "out"), dry_run=False, resume=False)
    assert len(str(told.value).splitlines()) == 2
    assert "clip 'clip/0' has no sidecar" in str(told.value)
    assert not (tmp_path / "out").exists()


def rewrite_masks(manifest: Manifest, **arrays: np.ndarray) -> None:
    """Replace the clips' masks by those of whole people, with other arrays in their sidecars."""
    for number, clip in enumerate(manifest.clips):
        person = truth(manifest, number)[1] > 0
        np.savez(manifest.root / default_sidecar(clip.path), mask=person.astype(np.uint8), **arrays)


@pytest.mark.parametrize("named", [True, False])
def test_whole_people_keep_their_clothes_and_the_run_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], named: bool
) -> None:
    manifest = load_manifest(write_source(tmp_path / "source", clips=2))
    rewrite_masks(manifest, **({"regions": np.array(PERSON_REGIONS)} if named else {}))
    settings = config(tmp_path / "source", tmp_path / "out", backgrounds=["textures"])
    assert run(settings, dry_run=False, resume=False) == 0
    said = capsys.readouterr().out
    assert "the masks of 2 of 2 clips tell no clothes from skin" in said
    after = load_manifest(tmp_path / "out")
    assert [clip.meta["randomized"] for clip in after.clips] == ["background"] * 2
    new = made(manifest, 0, backgrounds=["textures"])
    frames, mask = truth(manifest, 0)
    assert np.abs(new[core(mask > 0)].astype(int) - frames[core(mask > 0)]).max() <= 1
    assert np.abs(new[core(mask == 0)].astype(int) - frames[core(mask == 0)]).mean() > 5


def test_clothes_are_found_by_their_names(source: Path) -> None:
    frames, mask = truth(load_manifest(source), 0)
    order = ("background", "hair", "shoes", "lower", "upper", "skin")
    table = np.array([order.index(name) for name in REGIONS], np.uint8)
    new = picture.recolor_clothes(frames, table[mask], order, np.random.default_rng(0))
    expected = picture.recolor_clothes(frames, mask, REGIONS, np.random.default_rng(0))
    np.testing.assert_array_equal(new, expected)


@pytest.mark.parametrize(
    ("value", "regions", "problem"),
    [
        (1, ["background", "background"], "write different names as text"),
        (1, ["person", "background"], "write different names as text, 'background' first"),
        (1, [0, 1], "write different names as text"),
        (6, None, "mask has the value 6, but its regions are 0..5, background, skin,"),
        (255, None, "mask has the value 255"),
    ],
)
def test_masks_whose_values_have_no_name_are_refused_before_the_first_video(
    tmp_path: Path, value: int, regions: list[object] | None, problem: str
) -> None:
    source = write_source(tmp_path / "source", clips=2)
    for clip in load_manifest(source).clips:
        mask = np.full((2, 4, 4), value, np.uint8)
        more = {} if regions is None else {"regions": np.array(regions)}
        np.savez(tmp_path / "source" / default_sidecar(clip.path), mask=mask, **more)
    with pytest.raises(ViddaError) as told:
        run(config(source, tmp_path / "out"), dry_run=False, resume=False)
    assert len(str(told.value).splitlines()) == 2 and problem in str(told.value)
    assert not (tmp_path / "out").exists()


def test_one_clip_has_no_other_s_background(tmp_path: Path) -> None:
    source = write_source(tmp_path / "source", clips=1)
    with pytest.raises(ViddaError, match="leave clips out of backgrounds"):
        run(config(source, tmp_path / "out"), dry_run=True, resume=False)
