"""Addresses of interfaces: those of this machine, and those that a kernel could tell of."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable

import pytest

from pyxfrm.errors import TransportError
from pyxfrm.model import Address, ip
from pyxfrm.relocation.interface import Rank, addresses, listener, rank_of, wait_for_change

INDEX = 7
MULTI, INTERRUPTED = 0x2, 0x10
DONE, ERROR, NEWADDR = 3, 2, 20


@pytest.mark.parametrize(
    ("flags", "scope", "rank"),
    [
        (0x80, 0, Rank.FIRST),
        (0x81, 0, Rank.SECOND),
        (0x40, 0, Rank.UNUSABLE),
        (0x44, 0, Rank.FIRST),
        (0x08, 0, Rank.UNUSABLE),
        (0x20, 0, Rank.STAY),
        (0x80, 253, Rank.STAY),
    ],
    ids=["plain", "secondary", "tentative", "optimistic", "duplicate", "deprecated", "link-local"],
)
def test_what_flags_and_scope_say(flags: int, scope: int, rank: Rank) -> None:
    assert rank_of(flags, scope) is rank


class Kernel:
    """A socket to rtnetlink that tells what is written here, part by part."""

    def __init__(self, *parts: bytes) -> None:
        self.parts = list(parts)
        self.asked: list[bytes] = []

    def __call__(self, *_: object) -> Kernel:
        return self

    def __enter__(self) -> Kernel:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def settimeout(self, _: float) -> None:
        pass

    def send(self, data: bytes) -> None:
        self.asked.append(data)

    def recv(self, _: int) -> bytes:
        if not self.parts:
            raise TimeoutError("timed out")
        return self.parts.pop(0)


Tell = Callable[..., Kernel]


@pytest.fixture
def tell(monkeypatch: pytest.MonkeyPatch) -> Tell:
    def play(*parts: bytes) -> Kernel:
        kernel = Kernel(*parts)
        monkeypatch.setattr(socket, "socket", kernel)
        monkeypatch.setattr(socket, "if_nametoindex", lambda _: INDEX)
        return kernel

    return play


def message(kind: int, body: bytes, flags: int = MULTI) -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, flags, 1, 0) + body


def attr(number: int, payload: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(payload), number) + payload


def told(
    local: str = "",
    peer: str = "",
    *,
    flags: int = 0,
    wide: int | None = None,
    index: int = INDEX,
    family: int = 0,
) -> bytes:
    """An RTM_NEWADDR. ``wide``: IFA_FLAGS."""
    first = ip(local or peer)
    body = struct.pack("=BBBBI", family or first.family, 24, flags, 0, index)
    body += attr(1, ip(peer or local).packed)
    if local:
        body += attr(2, ip(local).packed)
    return message(NEWADDR, body + (b"" if wide is None else attr(8, struct.pack("=I", wide))))


END = message(DONE, bytes(4))
A, B, C = map(ip, ("192.0.2.1", "192.0.2.2", "2001:db8::1"))


def test_all_addresses_of_one_interface_in_the_kernels_order(tell: Tell) -> None:
    """Of a point-to-point link its own end; the flags of 32 bits where they are told."""
    kernel = tell(
        told(str(B), "192.0.2.99") + told(str(A), index=8),
        told(str(A), flags=0x80, wide=0x81) + told(peer=str(C), flags=0x40),
        told(str(A), family=28) + END,
    )
    found = addresses("w")
    assert found == {B: Rank.FIRST, A: Rank.SECOND, C: Rank.UNUSABLE}
    assert list(found) == [B, A, C]
    assert kernel.asked == [struct.pack("=IHHII", 24, 22, 0x301, 1, 0) + bytes(8)]


def test_a_table_that_changed_while_it_was_read_is_read_again(tell: Tell) -> None:
    kernel = tell(told(str(A)), message(DONE, bytes(4), MULTI | INTERRUPTED), told(str(B)), END)
    assert addresses("w") == {B: Rank.FIRST}
    assert len(kernel.asked) == 2


def test_a_table_that_never_rests_is_taken_as_it_is(tell: Tell) -> None:
    changed = told(str(A)) + message(DONE, bytes(4), MULTI | INTERRUPTED)
    tell(*[changed] * 99)
    assert addresses("w") == {A: Rank.FIRST}


@pytest.mark.parametrize(
    ("part", "why"),
    [(message(ERROR, struct.pack("=i", -1)), "Operation not permitted"), (b"", "timed out")],
    ids=["refused", "silent"],
)
def test_a_kernel_that_does_not_tell(tell: Tell, part: bytes, why: str) -> None:
    tell(part)
    with pytest.raises(TransportError, match=f"addresses of interfaces: {why}"):
        addresses("w")


def test_of_this_machine() -> None:
    found = addresses("lo")
    assert found is not None
    assert all(isinstance(address, Address) for address in found)
    if ip("127.0.0.1") in found:
        assert found[ip("127.0.0.1")] is Rank.STAY  # of the host alone
    assert addresses("no-such-dev") is None


def test_a_wait_ends_in_time_and_when_something_comes() -> None:
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    here.setblocking(False)
    with here, there:
        began = time.monotonic()
        wait_for_change(here, began + 0.02)
        assert time.monotonic() - began >= 0.02
        for _ in range(3):
            there.send(b"something")
        wait_for_change(here, None)
        with pytest.raises(BlockingIOError):
            here.recv(1)


class Overrun:
    """A socket whose buffer ran over once, and that fails then."""

    def __init__(self, *failures: int) -> None:
        self.failures = list(failures)

    def fileno(self) -> int:
        return 0

    def recv(self, _: int) -> bytes:
        if self.failures:
            raise OSError(self.failures.pop(0), "it failed")
        raise BlockingIOError


def test_what_was_lost_is_no_matter_and_what_fails_is_told() -> None:
    """105 is ENOBUFS."""
    lost, broken = Overrun(105, 105), Overrun(105, 9)
    wait_for_change(lost, 0.0)  # type: ignore[arg-type]
    assert lost.failures == []
    with pytest.raises(TransportError, match="it failed"):
        wait_for_change(broken, 0.0)  # type: ignore[arg-type]


def test_a_listener_hears_of_links_and_addresses() -> None:
    with listener() as made:
        portid, groups = made.getsockname()
        assert portid
        assert groups == 0x111
