"""What sealing and opening a packet costs, against the bare cipher call and against scapy.

    pytest benchmarks/bench_esp.py --benchmark-only     times, by packet size
    python -m benchmarks.bench_esp                      ratios, everything interleaved in one run

The yardstick is ``AESGCM.encrypt`` of the same packets, in the same loop: what Python cannot save.
Each figure is per packet, over 64 different packets in tunnel mode, IPv4 in IPv4, AES-GCM-128.
"""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
import timeit
import warnings
from collections.abc import Callable
from statistics import median
from typing import Any

import pytest

from pyxfrm.esp import Algorithm, Association, EspOpener, EspSealer

COUNT = 64  # what one batched read or write moves
SIZES = (64, 512, 1400)
GOALS = {64: 1.9, 512: 1.9, 1400: 1.6}
SA = Association(
    spi=0x1234,
    saddr=bytes((10, 0, 0, 1)),
    daddr=bytes((10, 0, 0, 2)),
    aead=Algorithm("rfc4106(gcm(aes))", bytes(range(20)), 128),
)
Run = Callable[[], object]
Way = Callable[[int], Callable[[], Run]]  # size -> what prepares a round -> the round


def packets(size: int) -> list[bytes]:
    """Different IPv4 packets of one length, DF set."""
    start = b"E\0" + size.to_bytes(2, "big") + b"\0\0\x40\0\x40\xfd\0\0"
    return [start + os.urandom(size - len(start)) for _ in range(COUNT)]


def bare(size: int) -> Callable[[], Run]:
    """The cipher alone."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    encrypt, sent, nonce, aad = AESGCM(bytes(16)).encrypt, packets(size), bytes(12), bytes(8)

    return lambda: lambda: [encrypt(nonce, packet, aad) for packet in sent]


def _sealer(size: int) -> tuple[EspSealer, list[bytes]]:
    sealer, sent = EspSealer(SA), packets(size)
    sealer.seal_batch(sent)  # the first packets make what the others use
    return sealer, sent


def seal(size: int) -> Callable[[], Run]:
    sealer, sent = _sealer(size)
    each = sealer.seal

    return lambda: lambda: [each(packet) for packet in sent]


def seal_batch(size: int) -> Callable[[], Run]:
    sealer, sent = _sealer(size)
    return lambda: lambda: sealer.seal_batch(sent)


def _to_open(size: int) -> Callable[[], tuple[EspOpener, list[bytes]]]:
    """Makes an opener that has seen the packet before those."""
    sealer, sent = _sealer(size)
    first, *sealed = [sealer.seal(packet) for packet in (sent[0], *sent)]

    def prepare() -> tuple[EspOpener, list[bytes]]:
        opener = EspOpener(SA)
        opener.open(first)
        return opener, sealed

    return prepare


def open_(size: int) -> Callable[[], Run]:
    make = _to_open(size)

    def prepare() -> Run:
        opener, sealed = make()
        each = opener.open
        return lambda: [each(packet) for packet in sealed]

    return prepare


def open_batch(size: int) -> Callable[[], Run]:
    make = _to_open(size)

    def prepare() -> Run:
        opener, sealed = make()
        return lambda: opener.open_batch(sealed)

    return prepare


WAYS: dict[str, Way] = {
    "seal": seal,
    "seal_batch": seal_batch,
    "open": open_,
    "open_batch": open_batch,
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("way", ["bare", *WAYS])
def test_packets(benchmark: Any, way: str, size: int) -> None:
    benchmark.group = f"{COUNT} packets of {size} bytes"
    prepare = {"bare": bare, **WAYS}[way](size)
    benchmark.pedantic(lambda run: run(), setup=lambda: ((prepare(),), {}), rounds=200)


@pytest.mark.parametrize("name", ["sealer", "opener", "move"])
def test_making_one(benchmark: Any, name: str) -> None:
    """An SA that moves keeps its cipher; a new one has its key expanded."""
    benchmark.group = "making"
    sealer = EspSealer(SA)
    calls: dict[str, Run] = {
        "sealer": lambda: EspSealer(SA),
        "opener": lambda: EspOpener(SA),
        "move": lambda: sealer.move(SA),
    }
    benchmark(calls[name])


def _timed(prepare: Callable[[], Run]) -> float:
    """Seconds for a round, after one that warms the caches."""
    timeit.timeit(prepare(), number=1)
    return timeit.timeit(prepare(), number=1)


def ratios(rounds: int = 100) -> dict[tuple[str, int], tuple[float, float]]:
    """(way, size) -> (nanoseconds per packet, times the bare cipher's), medians, interleaved."""
    runs = {(way, size): make(size) for way, make in WAYS.items() for size in SIZES}
    found: dict[tuple[str, int], list[tuple[float, float]]] = {name: [] for name in runs}
    yardsticks = {size: bare(size) for size in SIZES}
    for _ in range(rounds):
        for (way, size), prepare in runs.items():
            base, spent = _timed(yardsticks[size]), _timed(prepare)
            found[way, size].append((spent / COUNT * 1e9, spent / base))
    return {
        name: (median(t for t, _ in times), median(r for _, r in times))
        for name, times in found.items()
    }


def scapy_times(size: int, count: int = 20) -> tuple[float, float]:
    """Nanoseconds per packet for scapy to (seal, open)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ipsec: Any = importlib.import_module("scapy.layers.ipsec")
    assert SA.aead is not None
    sa = ipsec.SecurityAssociation(
        ipsec.ESP,
        spi=SA.spi,
        crypt_algo="AES-GCM",
        crypt_key=SA.aead.key,
        tunnel_header=ipsec.IP(src="10.0.0.1", dst="10.0.0.2"),
    )
    plain = [ipsec.IP(packet) for packet in packets(size)[:count]]
    sealed = [bytes(sa.encrypt(packet)) for packet in plain]
    out = timeit.timeit(lambda: [bytes(sa.encrypt(packet)) for packet in plain], number=1)
    back = timeit.timeit(lambda: [sa.decrypt(ipsec.IP(packet)) for packet in sealed], number=1)
    return out / count * 1e9, back / count * 1e9


def openssl_time(size: int) -> float | None:
    """Nanoseconds per block of ``openssl speed``: the cipher without Python."""
    program = shutil.which("openssl")
    if program is None:
        return None
    command = [program, "speed", "-evp", "aes-128-gcm", "-seconds", "1", "-mr", "-bytes", str(size)]
    text = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    rates = [line.split(":")[-1] for line in text.splitlines() if line.startswith("+F:")]
    return size / float(rates[0]) * 1e9 if rates else None


def main() -> None:
    """Print the table."""
    write = sys.stdout.write
    found = ratios()
    write(f"{'':12}" + "".join(f"{size:>10} bytes      " for size in SIZES) + "\n")
    for way in WAYS:
        cells = [f"{found[way, size][0]:8.0f} ns {found[way, size][1]:5.2f}x   " for size in SIZES]
        write(f"{way:12}" + " ".join(cells) + "\n")
    for size in SIZES:
        out, back = scapy_times(size)
        cipher = openssl_time(size)
        write(
            f"{size:>5} bytes: goal {GOALS[size]}x; scapy seals {out / found['seal', size][0]:.0f}x,"
            f" opens {back / found['open', size][0]:.0f}x slower;"
            f" openssl speed {f'{cipher:.0f} ns' if cipher else 'not there'}\n"
        )


if __name__ == "__main__":
    main()
