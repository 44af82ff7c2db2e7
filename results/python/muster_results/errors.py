"""What cannot be read, and what to do about it."""


class ResultsError(Exception):
    """A folder or file is not what was asked for; the message says what was found and what to do."""
