"""The error of this package."""

from edgernn.errors import EdgeRnnError


class TargetError(EdgeRnnError):
    """A target profile is wrong, or there is none of that name."""
