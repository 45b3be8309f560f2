"""The experiments of a dataset before, or after, it is prepared."""

from dataclasses import dataclass

from vidda.data.experiments import Experiments, experiments_from
from vidda.data.list_checks import experiments_left_out
from vidda.data.listing import Listing
from vidda.data.manifest import DATASET, read_description
from vidda.data.prepare import PrepareConfig
from vidda.data.read_dataset import read_dataset


@dataclass(frozen=True, slots=True)
class Survey:
    """The experiments that a dataset has, or will have when it is prepared.

    experiments: those that its data allow. left_out: for each one that they do not, the reason.
    listing: its clips and lists, None where the data were prepared already or are not there yet.
    """

    experiments: Experiments
    left_out: dict[str, str]
    listing: Listing | None


def survey(config: PrepareConfig, *, complete: bool) -> Survey:
    """Return what is known of a dataset's experiments, without decoding a clip.

    Read from the prepared folder if it is finished; else from the data, if they are there; else
    from the dataset's config, which states them. complete: whether all data are there, as they are
    not where they have yet to be rendered. Raises ViddaError where the data cannot be read.
    """
    file = config.out / DATASET
    content = read_description(file)
    # Folders of earlier versions list their experiments by name alone: the data tell.
    if isinstance(content.get("experiments"), dict):
        found = experiments_from(content["experiments"], str(file))
        return Survey(found, content.get("left_out", {}), None)
    root = config.root.absolute()
    stated = config.dataset.experiments(root)
    if not (complete and root.is_dir()):
        return Survey(stated, {}, None)
    listing, tree, _ = read_dataset(config.dataset, root, dry_run=True)
    left_out = experiments_left_out(listing, stated, tree)
    kept = {name: one for name, one in stated.items() if name not in left_out}
    return Survey(kept, left_out, listing)
