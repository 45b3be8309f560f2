"""Every dataset there is: adding one is one line in this union.

Installed packages add theirs under the entry point `vidda.datasets`, see `vidda.plugins`.
"""

from typing import TYPE_CHECKING

from vidda.data.images import S2rda49, Visda2017
from vidda.data.listing import DatasetConfig
from vidda.data.lists import ClassFolders, CsvFiles, PlainLists
from vidda.data.pair import DomainPair
from vidda.data.rocog import RocogV2
from vidda.data.ucf_hmdb import UcfHmdb
from vidda.plugins import union

if TYPE_CHECKING:
    AnyDatasetConfig = DatasetConfig
else:
    AnyDatasetConfig = union(
        "vidda.datasets",
        DatasetConfig,
        RocogV2,
        PlainLists,
        ClassFolders,
        CsvFiles,
        DomainPair,
        UcfHmdb,
        Visda2017,
        S2rda49,
    )
