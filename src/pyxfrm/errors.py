"""Everything that can go wrong, in one tree.

    XfrmError
    ├── UsageError        the caller's mistake: a value that makes no sense; nothing was sent
    ├── MalformedError    bytes that are not what they should be; nothing was changed
    │                     (a file of them: pyxfrm.transport.recording.RecordingError)
    ├── RefusedError      XFRM (a kernel or an engine) said no, and why
    ├── TransportError    no answer, or answers were lost; what was asked may or may not have happened
    │   └── InterruptedDumpError  the table changed while it was read: read it again
    └── SaLostError       an SA is gone from both its old and its new place: rekey at the IKE level

``str()`` of each is one line a user can be shown: what, where, why, what to do. None of them
ever holds key material.
"""

from __future__ import annotations

import errno as _errno
import os

__all__ = [
    "InterruptedDumpError",
    "MalformedError",
    "RefusedError",
    "SaLostError",
    "TransportError",
    "UsageError",
    "XfrmError",
    "errno_name",
]

# Two names have one number; of them the kernel uses these.
_KERNELS_OWN = {_errno.EOPNOTSUPP: "EOPNOTSUPP", _errno.EDEADLK: "EDEADLK"}


def errno_name(number: int) -> str:
    """``ESRCH`` and the like, as the kernel writes it, for a positive errno; the number itself where it has no name."""
    return _KERNELS_OWN.get(number) or _errno.errorcode.get(number, str(number))


class XfrmError(Exception):
    """The root: catch this to catch everything pyxfrm raises on purpose."""


class UsageError(XfrmError, ValueError):
    """A value that cannot be meant. Raised before anything is sent or changed."""


class MalformedError(XfrmError, ValueError):
    """Bytes that do not decode.

    ``what`` names the structure or field, ``offset`` the byte (from the start of the buffer that
    was given) where reading stopped making sense.
    """

    def __init__(self, what: str, offset: int = 0) -> None:
        super().__init__(f"{what} (at byte {offset})")
        self.what = what
        self.offset = offset


class RefusedError(XfrmError):
    """One refusal by XFRM: an NLMSG_ERROR with a non-zero error.

    ``operation``  what was asked, e.g. ``XFRM_MSG_MIGRATE_STATE``
    ``subject``    of which SA or policy, e.g. ``dst 192.0.2.1 proto esp spi 0x00000100``; may be ""
    ``errno``      positive errno, e.g. ``errno.ESRCH``
    ``text``       the extended-ACK text (NLMSGERR_ATTR_MSG), "" where there is none
    ``attribute``  name of the attribute at fault, "" where none was named
    ``offset``     NLMSGERR_ATTR_OFFS: byte offset into the request, or None
    ``seq``        netlink sequence number of the request
    """

    def __init__(
        self,
        operation: str,
        errno: int,
        text: str = "",
        *,
        attribute: str = "",
        offset: int | None = None,
        seq: int = 0,
        subject: str = "",
    ) -> None:
        self.operation = operation
        self.subject = subject
        self.errno = errno
        self.text = text
        self.attribute = attribute
        self.offset = offset
        self.seq = seq
        super().__init__(self._line())

    @property
    def errno_name(self) -> str:
        """``ESRCH`` and the like; the number itself where it has no name."""
        return errno_name(self.errno)

    def _line(self) -> str:
        why = self.text or os.strerror(self.errno)
        at = f" [{self.attribute}]" if self.attribute else ""
        what = f"{self.operation} {self.subject}" if self.subject else self.operation
        return f"{what}: {self.errno_name}: {why}{at}"


class TransportError(XfrmError):
    """No answer in time, or the socket lost messages: look before you ask again."""


class InterruptedDumpError(TransportError):
    """A dump was interrupted (NLM_F_DUMP_INTR): what was read may lack entries or have some twice."""


class SaLostError(XfrmError):
    """The SA exists neither at its old nor at its new place (see ``sa``): it must be rekeyed."""

    def __init__(self, sa: str, why: str = "") -> None:
        self.sa = sa
        self.why = why
        tail = f": {why}" if why else ""
        super().__init__(f"SA lost: {sa}{tail}; re-establish it at the IKE level")
