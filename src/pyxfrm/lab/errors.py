"""The lab's own exception."""

from __future__ import annotations

from pyxfrm.errors import XfrmError

__all__ = ["LabError"]


class LabError(XfrmError):
    """The lab cannot be had, did not start, or died: one line that says why and what to do."""
