"""How host and guest talk.

Two paths, because a user-mode kernel's serial line is quick in one direction only:

    host -> guest   a *doorbell*: one short line on the serial line, ``<number>\\n``; the request
                    itself is the file ``request-<number>`` in the run directory, which both see.
                    A burst of more than some kilobytes *into* the line makes it deaf for good
                    (seen on 7.2.7 and 6.12.101), so one doorbell is out at a time.
    guest -> host   *frames* on the serial line, any size, some 20 MB/s:
                    kind (1 byte) · length (4 bytes, big endian) · payload

End of file on the line is how the guest learns that the host is gone: it powers off.
"""

from __future__ import annotations

import enum
import struct

__all__ = ["Frame", "FrameReader", "LINE", "pack"]

LINE = "/dev/ttyS0"  # the guest's end
_HEADER = struct.Struct(">BI")


class Frame(enum.IntEnum):
    """What a frame from the guest carries."""

    READY = 1  # JSON: the guest is up and tells about itself
    STDOUT = 2  # bytes a command wrote
    STDERR = 3
    RESULT = 4  # JSON: one job's result
    DONE = 5  # JSON: the request is finished


def pack(kind: Frame, payload: bytes) -> bytes:
    """One frame."""
    return _HEADER.pack(kind, len(payload)) + payload


class FrameReader:
    """Cuts a byte stream into frames; feed it as bytes come."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[tuple[Frame, bytes]]:
        """Frames that are complete now, in order."""
        self._buffer += data
        frames = []
        while len(self._buffer) >= _HEADER.size:
            kind, length = _HEADER.unpack_from(self._buffer)
            end = _HEADER.size + length
            if len(self._buffer) < end:
                break
            frames.append((Frame(kind), bytes(self._buffer[_HEADER.size : end])))
            del self._buffer[:end]
        return frames
