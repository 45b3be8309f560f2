"""Detection of a full disk, which ends a whole job: every later clip would fail on it too."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vidda.errors import ViddaError

FULL_DISK_ERRNOS = (errno.ENOSPC, errno.EDQUOT)


class FullDiskError(ViddaError):
    """A disk or quota has no space left for a job's files."""


@contextmanager
def detect_full_disk(out: Path) -> Iterator[None]:
    """Raise FullDiskError in place of any error in the block that a full disk or quota caused.

    out: the job's folder, for the message. Other errors pass unchanged.
    """
    try:
        yield
    except (OSError, ViddaError) as error:
        cause: BaseException | None = error
        while cause is not None and getattr(cause, "errno", None) not in FULL_DISK_ERRNOS:
            cause = cause.__cause__ or cause.__context__
        if cause is None:
            raise
        raise FullDiskError(
            f"{out}: the disk is full ({cause}); finished clips are kept; free some space, and"
            " the same command with --resume continues"
        ) from None
