"""The table of proofs in docs/packets.md, made from the tables that the tests run through: ``python -m tests.esp.matrix`` prints it."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

from pyxfrm.esp import Algorithm, Mode, Proto
from pyxfrm.esp.auth import make_mac
from tests.esp import test_auth, test_kernel, test_scapy, test_transforms
from tests.esp.support import ALGORITHMS, SHAPES

__all__ = ["table"]

# how an algorithm starts -> the vectors that it is held against, and the tests that do it
VECTORS = {
    "rfc4106(gcm(aes))": ("draft-mcgrew-gcm-test-01, GCM test cases 4, 10, 16", test_transforms.test_gcm),
    "rfc4309(ccm(aes))": ("none with its nonce of 11 bytes", None),
    "rfc4543(gcm(aes))": ("RFC 4543 has none; as GCM of nothing", test_transforms.test_gmac_is_gcm_of_nothing),
    "rfc7539esp(chacha20,poly1305)": ("RFC 7634 A", test_transforms.test_rfc7634_packet),
    "cbc(aes)": ("RFC 3602 §4, SP 800-38A F.2", test_transforms.test_sp_800_38a),
    "rfc3686(ctr(aes))": ("RFC 3686 §6", test_transforms.test_rfc3686),
    "ecb(cipher_null)": ("", None),
    "hmac(md5)": ("RFC 2202", test_auth.test_vectors),
    "hmac(sha1)": ("RFC 2202", test_auth.test_vectors),
    "hmac(sha256)": ("RFC 4231", test_auth.test_vectors),
    "hmac(sha384)": ("RFC 4231", test_auth.test_vectors),
    "hmac(sha512)": ("RFC 4231", test_auth.test_vectors),
    "xcbc(aes)": ("RFC 3566", test_auth.test_vectors),
    "cmac(aes)": ("RFC 4493", test_auth.test_vectors),
}  # fmt: skip
NOT_IN_SCAPY = {
    "gcm256-96": "no cut tags",
    "gcm192-64": "no cut tags",
    "cbc128-sha256-96": "no such length",
    "cbc128-xcbc": "no XCBC",
}
HEAD = "| | key with salt, ICV (bytes) | vectors | scapy | Linux 7.2 | Linux 6.12 | captured |\n|---|---|---|---|---|---|---|\n"


def _row(*cells: object) -> str:
    return "| " + " | ".join(map(str, cells)) + " |\n"


def _vectors(*algorithms: Algorithm) -> str:
    told = [VECTORS[algorithm.name][0] for algorithm in algorithms]
    return "; ".join(dict.fromkeys(filter(None, told)))


def _esp(name: str, captured: Counter[str]) -> str:
    parts = [one for kind in ("aead", "crypt", "auth") if (one := ALGORITHMS[name].get(kind))]
    names = " ".join(f"`{one.name}`" for one in parts)
    icv = parts[-1].icv_bits // 8 or make_mac(parts[-1]).size
    linux = len(test_kernel.esp_cases(name))
    scapy = len(test_scapy.SHAPES) * 4 if name in test_scapy.NAMES else NOT_IN_SCAPY[name]
    return _row(names, f"{len(parts[0].key)}, {icv}", _vectors(*parts), scapy, linux, linux, captured[name])  # fmt: skip


def _ah(name: str, bits: int, size: int, captured: int) -> str:
    one_way = [shape for shape in SHAPES if shape[0] is Mode.BEET and shape[2] == 4]
    linux = f"{3 * len(SHAPES)} ({3 * len(one_way)} of them one way)"
    scapy = len(test_scapy.SHAPES) * 2 if (name, bits) in test_scapy.AH_NAMES else "no such length"
    if name == "xcbc(aes)":
        scapy = "no XCBC"
    vectors = _vectors(Algorithm(name))
    return _row(
        f"AH `{name}`", f"{size}, {bits // 8 or 12}", vectors, scapy, linux, linux, captured
    )


def table() -> str:
    """Markdown."""
    text = (Path(__file__).with_name("vectors.json")).read_text(encoding="ascii")
    packets = json.loads(text)["packets"]
    plain = [one for one in packets if "algorithm" not in one and "auth" not in one]
    captured = Counter(one.get("algorithm", "gcm128") for one in packets if "auth" not in one)
    assert all(one.get("proto", Proto.ESP) == Proto.ESP for one in plain)
    rows = [_esp(name, captured) for name in ALGORITHMS]
    for name, bits, size in test_kernel.AH:
        count = sum(one.get("auth") == [name, bits, size] for one in packets)
        rows.append(_ah(name, bits, size, count))
    shapes = sum(mode is not Mode.BEET for mode, _, _ in SHAPES)
    rows.append(_row("IPComp `deflate`", "", "", "no IPComp", shapes, shapes, 0))
    return HEAD + "".join(rows)


if __name__ == "__main__":
    sys.stdout.write(table())
