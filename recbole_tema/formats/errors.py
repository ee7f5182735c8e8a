"""The one family of errors for files that are not as they should be."""


class FormatError(ValueError):
    """A file does not hold what its format says; the text says where and what to do."""
