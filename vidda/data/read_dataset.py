"""The files of a dataset and what its lists say of them, before anything is checked or written."""

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
    return listing, with_frame_folders(tree, listing.clips), notes
