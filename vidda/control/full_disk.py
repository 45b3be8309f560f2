"""A full disk: no fault of the clip that meets it, for every clip after it would meet it too."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vidda.errors import ViddaError

FULL = (errno.ENOSPC, errno.EDQUOT)


class FullDiskError(ViddaError):
    """There is no room for what a job writes."""


@contextmanager
def full_disk_told(out: Path) -> Iterator[None]:
    """Raise FullDiskError for whatever is raised within because a disk, or a quota, is full.

    out: the job's folder, for the message.
    """
    try:
        yield
    except (OSError, ViddaError) as error:
        cause: BaseException | None = error
        while cause is not None and getattr(cause, "errno", None) not in FULL:
            cause = cause.__cause__ or cause.__context__
        if cause is None:
            raise
        raise FullDiskError(
            f"{out}: the disk is full ({cause}); what is done is kept: free some space, and the"
            " same command with --resume goes on"
        ) from None
