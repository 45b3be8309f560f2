"""The one exception that a user is meant to read."""


class ViddaError(Exception):
    """Something the user can mend: its text names the thing, the value and the remedy.

    The command line prints it as one line (or one line a problem) without a traceback.
    """
