"""What a user can mend. Everything else is a bug and keeps its traceback."""


class KestrelError(Exception):
    """Bad input, setting or state, in one message: what was found, where, and the next step.  Exit code 1."""

    exit_code = 1


class ChecksFailed(KestrelError):
    """Data checks refuse to go on.  Exit code 3."""

    exit_code = 3
