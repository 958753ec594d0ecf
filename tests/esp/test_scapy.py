"""Round trips against scapy's IPsec layer: an implementation that shares nothing with this one.

scapy has no BEET, no IPComp, no truncated GCM tags, and leaves the checksum of UDP over IPv6 out;
those are held against Linux only.
"""

from __future__ import annotations

import importlib
import warnings
from itertools import product
from typing import Any

import pytest

from pyxfrm.abi import xfrm as abi
from pyxfrm.esp import (
    AhOpener,
    AhSealer,
    Association,
    Encap,
    EsnWindow,
    EspOpener,
    EspSealer,
    Mode,
    Sequence,
)
from tests.esp.support import ALGORITHMS, ESN, OUTSIDE, SPI, ah_sa, esp_sa, inner_packet, key


@pytest.fixture(scope="module")
def ipsec() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # old ciphers in its tables
        return importlib.import_module("scapy.layers.ipsec")


# our name -> scapy's (crypt_algo, crypt_icv_size, auth_algo)
NAMES: dict[str, tuple[str, int | None, str | None]] = {
    "gcm128": ("AES-GCM", 16, None),
    "ccm128": ("AES-CCM", 16, None),
    "ccm192-96": ("AES-CCM", 12, None),
    "ccm256-64": ("AES-CCM", 8, None),
    "gmac128": ("AES-NULL-GMAC", 16, None),
    "gmac256": ("AES-NULL-GMAC", 16, None),
    "chacha": ("CHACHA20-POLY1305", 16, None),
    "cbc128-sha1": ("AES-CBC", None, "HMAC-SHA1-96"),
    "cbc128-md5": ("AES-CBC", None, "HMAC-MD5-96"),
    "cbc256-sha256": ("AES-CBC", None, "SHA2-256-128"),
    "cbc256-sha384": ("AES-CBC", None, "SHA2-384-192"),
    "cbc256-sha512": ("AES-CBC", None, "SHA2-512-256"),
    "cbc128-cmac": ("AES-CBC", None, "AES-CMAC-96"),
    "ctr128-sha256": ("AES-CTR", None, "SHA2-256-128"),
    "ctr256-sha1": ("AES-CTR", None, "HMAC-SHA1-96"),
    "null-sha1": ("NULL", None, "HMAC-SHA1-96"),
    "null-sha512": ("NULL", None, "SHA2-512-256"),
}
SHAPES = [(Mode.TUNNEL, 4), (Mode.TUNNEL, 6), (Mode.TRANSPORT, 4), (Mode.TRANSPORT, 6)]
HIGH = 5
EXPERIMENT = 253  # a protocol that scapy leaves alone


def dotted(address: bytes) -> str:
    import socket

    return socket.inet_ntop(socket.AF_INET if len(address) == 4 else socket.AF_INET6, address)


def outside(ipsec: Any, sa: Association) -> Any:
    make = ipsec.IP if sa.family == 4 else ipsec.IPv6
    return make(src=dotted(sa.saddr), dst=dotted(sa.daddr))


def scapys(ipsec: Any, name: str, sa: Association, seq: int) -> Any:
    crypt, icv, auth = NAMES[name]
    algorithms = ALGORITHMS[name]
    secret = algorithms.get("aead", algorithms.get("crypt"))
    assert secret is not None
    return ipsec.SecurityAssociation(
        ipsec.ESP,
        spi=SPI,
        seq_num=seq,
        crypt_algo=crypt,
        crypt_key=secret.key or None,
        crypt_icv_size=icv,
        auth_algo=auth,
        auth_key=algorithms["auth"].key if auth else None,
        tunnel_header=outside(ipsec, sa) if sa.mode is Mode.TUNNEL else None,
        nat_t_header=ipsec.UDP(sport=sa.encap.sport, dport=sa.encap.dport) if sa.encap else None,
        esn_en=sa.esn,
        esn=HIGH if sa.esn else 0,
    )


def parsed(ipsec: Any, packet: bytes) -> Any:
    return (ipsec.IP if packet[0] >> 4 == 4 else ipsec.IPv6)(packet)


@pytest.mark.parametrize("flags", [0, ESN], ids=["seq", "esn"])
@pytest.mark.parametrize("encap", [None, Encap(4500, 4500)], ids=["plain", "udp"])
@pytest.mark.parametrize(("mode", "outer"), SHAPES)
@pytest.mark.parametrize("name", sorted(NAMES))
def test_esp_both_ways(
    ipsec: Any, name: str, mode: Mode, outer: int, encap: Encap | None, flags: int
) -> None:
    sa = esp_sa(name, mode, outer, encap=encap, flags=flags)
    top = HIGH << 32 if sa.esn else 0
    sealer = EspSealer(sa, sequence=Sequence(top, esn=sa.esn))
    opener = EspOpener(sa, window=EsnWindow(32, seq_hi=HIGH) if sa.esn else None)
    other = scapys(ipsec, name, sa, 1)
    inner = 4 if mode is Mode.TUNNEL else outer
    for size in (1, 40, 61, 200):
        packet = inner_packet(sa, inner, bytes(range(size)), proto=EXPERIMENT)
        theirs = bytes(other.encrypt(parsed(ipsec, packet)))
        assert opener.open(theirs) == packet
        ours = sealer.seal(packet)
        assert bytes(other.decrypt(parsed(ipsec, ours))) == packet
        assert len(ours) == len(theirs)
    assert opener.replay.top == top + 4


AH_NAMES = {
    ("hmac(sha1)", 96): "HMAC-SHA1-96",
    ("hmac(md5)", 96): "HMAC-MD5-96",
    ("hmac(sha256)", 128): "SHA2-256-128",
    ("hmac(sha384)", 192): "SHA2-384-192",
    ("hmac(sha512)", 256): "SHA2-512-256",
    ("cmac(aes)", 96): "AES-CMAC-96",
}


@pytest.mark.parametrize(
    ("auth", "shape", "flags"), list(product(sorted(AH_NAMES), SHAPES, [0, ESN]))
)
def test_ah_both_ways(
    ipsec: Any, auth: tuple[str, int], shape: tuple[Mode, int], flags: int
) -> None:
    mode, outer = shape
    saddr, daddr = OUTSIDE[outer]
    align = abi.XFRM_STATE_ALIGN4 if outer == 4 else 0
    size = 16 if auth[0] == "cmac(aes)" else 32
    sa = ah_sa(*auth, size=size, mode=mode, saddr=saddr, daddr=daddr, flags=flags | align)
    assert sa.auth is not None
    top = HIGH << 32 if sa.esn else 0
    other = ipsec.SecurityAssociation(
        ipsec.AH,
        spi=SPI,
        auth_algo=AH_NAMES[auth],
        auth_key=key(size),
        tunnel_header=outside(ipsec, sa) if mode is Mode.TUNNEL else None,
        esn_en=sa.esn,
        esn=HIGH if sa.esn else 0,
    )
    sealer = AhSealer(sa, sequence=Sequence(top, esn=sa.esn))
    opener = AhOpener(sa, window=EsnWindow(32, seq_hi=HIGH) if sa.esn else None)
    for length in (1, 40, 61):
        packet = inner_packet(
            sa, 4 if mode is Mode.TUNNEL else outer, bytes(range(length)), proto=EXPERIMENT, tos=7
        )
        assert opener.open(bytes(other.encrypt(parsed(ipsec, packet)))) == packet
        assert bytes(other.decrypt(parsed(ipsec, sealer.seal(packet)))) == packet
