"""Frames survive any cutting of the stream."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxfrm.lab.line import Frame, FrameReader, pack

frames = st.lists(st.tuples(st.sampled_from(Frame), st.binary(max_size=20)), max_size=6)


@given(frames, st.integers(1, 30))
def test_frames_come_out_as_they_went_in(sent: list[tuple[Frame, bytes]], piece: int) -> None:
    stream = b"".join(pack(kind, payload) for kind, payload in sent)
    reader, got = FrameReader(), []
    for start in range(0, len(stream), piece):
        got += reader.feed(stream[start : start + piece])
    assert got == sent


def test_a_frame_waits_for_its_last_byte() -> None:
    whole = pack(Frame.STDOUT, b"abc")
    reader = FrameReader()
    assert reader.feed(whole[:-1]) == []
    assert reader.feed(whole[-1:]) == [(Frame.STDOUT, b"abc")]


def test_what_is_no_frame_is_refused() -> None:
    with pytest.raises(ValueError, match="99"):
        FrameReader().feed(b"\x63\0\0\0\0")
