"""The files of a dataset and what its lists say of them, before anything is checked or written."""

from dataclasses import replace
from pathlib import Path

from vidda.data.frame_folders import with_frame_folders
from vidda.data.listing import DatasetConfig, Listing, Tree
from vidda.data.rocog import RocogV2
from vidda.data.rocog_zips import unpack_zips


def read_dataset(
    dataset: DatasetConfig, root: Path, *, dry_run: bool
) -> tuple[Listing, Tree, list[str]]:
    """Return the listing of a dataset, its files, and notes on its zip files.

    root: of the data, absolute. dry_run: RoCoG-v2's zip files are not unpacked, but their members
    count as files that are there. Raises ViddaError where the data cannot be read.
    """
    notes: list[str] = []
    zipped: Tree = {}
    if isinstance(dataset, RocogV2):
        zipped = unpack_zips(root, notes, dry_run=dry_run)
    tree = zipped | dataset.files(root)
    listing = dataset.read(root, tree)
    _name_sidecars(listing)
    return listing, with_frame_folders(tree, listing.clips), notes


def _name_sidecars(listing: Listing) -> None:
    """Name the sidecars that are in their usual place in the clips' column `sidecar`.

    Files that are sidecars of clips are no longer among those that are left out for their suffix.
    """
    if (listing.root / "sidecar").is_dir():
        # Here, because it loads the decoders, which datasets without sidecars do not need.
        from vidda.sidecar import default_sidecar

        for path, clip in listing.clips.items():
            usual = default_sidecar(path)
            if "sidecar" not in clip.meta and (listing.root / usual).is_file():
                listing.clips[path] = replace(clip, meta={**clip.meta, "sidecar": usual})
    used = {clip.meta.get("sidecar") for clip in listing.clips.values()}
    listing.problems = [p for p in listing.problems if p.kind != "suffix" or p.where not in used]
