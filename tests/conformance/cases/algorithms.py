"""Every algorithm of IPsec: its names, the keys that the crypto behind it takes, and how it is shown."""

from __future__ import annotations

from collections.abc import Iterable
from errno import EINVAL

from pyxfrm.abi import messages as m
from pyxfrm.wire.messages import Message
from tests.conformance.parts import CBC, SHA1, alg, sa, sa_id, v6
from tests.conformance.talk import Attrs, Talk, case

NEW = m.XFRM_MSG_NEWSA
CRYPTO = "Kernel was unable to initialize cryptographic operations"
PLAIN_HASHES = ("hmac(sha1)", "hmac(sha256)", "hmac(sha384)", "hmac(sha512)", "hmac(md5)")
AES_HASHES = {"xcbc(aes)": [16], "cmac(aes)": [16, 24, 32]}
GONE = ("hmac(rmd160)", "hmac(sm3)")  # not built into every kernel: compared, not expected
BLOCK_CIPHERS = (
    ("cbc(aes)", (16, 24, 32)),
    ("cbc(camellia)", (16, 24, 32)),
    ("cbc(twofish)", (16, 24, 32)),
    ("cbc(serpent)", (0, 16, 32)),
    ("cbc(des)", (8,)),
    ("cbc(des3_ede)", (24,)),
    ("cbc(cast5)", (5, 16)),
    ("cbc(blowfish)", (4, 56)),
    ("rfc3686(ctr(aes))", (20, 28, 36)),
    ("ecb(cipher_null)", (0,)),
)


def offer(t: Talk, proto: int, attrs: Attrs) -> Message | None:
    """Try to make an SA; its answer. What was made is deleted again, to be shown in the event."""
    read = t.send(NEW, sa(proto=proto), attrs)
    t.send(m.XFRM_MSG_DELSA, sa_id(proto=proto))
    return read[-1] if read else None


def taken(
    t: Talk, proto: int, number: int, name: str, sizes: Iterable[int], *more: object
) -> list[int]:
    """Those key sizes in bytes with which an algorithm is taken."""
    found = []
    for size in sizes:
        icv = 128 if number == m.XFRMA_ALG_AEAD else None
        attrs: list[tuple[int, object]] = [(number, alg(name, 8 * size, icv))]
        answer = offer(t, proto, [*attrs, *more])  # type: ignore[list-item]
        if answer is not None and answer.body.error == 0:
            found.append(size)
    return found


@case("NEWSA algorithms")
def aead_keys(t: Talk) -> None:
    """AEAD keys are those of the cipher and a salt; others the crypto refuses with a text"""
    for name, sizes in (
        ("rfc4106(gcm(aes))", [20, 28, 36]),
        ("rfc4309(ccm(aes))", [19, 27, 35]),
        ("rfc4543(gcm(aes))", [20, 28, 36]),
        ("rfc7539esp(chacha20,poly1305)", [36]),
    ):
        got = taken(t, 50, m.XFRMA_ALG_AEAD, name, [0, *range(15, 22), *range(26, 38), 68])
        t.check(got == sizes, f"{name}: {got}")
    t.refuse(EINVAL, CRYPTO, NEW, sa(), [(m.XFRMA_ALG_AEAD, alg("rfc4106(gcm(aes))", 168, 128))])


@case("NEWSA algorithms")
def aead_icv(t: Talk) -> None:
    """An ICV length is part of an AEAD algorithm's name"""
    for name, key in (
        ("rfc4106(gcm(aes))", 160),
        ("rfc4309(ccm(aes))", 152),
        ("rfc4543(gcm(aes))", 160),
        ("rfc7539esp(chacha20,poly1305)", 288),
    ):
        for icv in (0, 32, 64, 96, 120, 128, 136):
            offer(t, 50, [(m.XFRMA_ALG_AEAD, alg(name, key, icv))])


@case("NEWSA algorithms")
def odd_bits(t: Talk) -> None:
    """A key length that is no multiple of eight is rounded up, and shown as it was given"""
    offer(t, 50, [(m.XFRMA_ALG_CRYPT, alg("cbc(aes)", 121))])
    offer(t, 50, [(m.XFRMA_ALG_CRYPT, alg("cbc(aes)", 120))])
    offer(t, 50, [(m.XFRMA_ALG_AEAD, alg("rfc4106(gcm(aes))", 153, 128))])
    offer(t, 51, [(m.XFRMA_ALG_AUTH, alg("hmac(sha1)", 3))])


@case("NEWSA algorithms")
def hashes(t: Talk) -> None:
    """HMACs take any key, the empty one too; cmac(aes) takes those of AES, xcbc(aes) only 16 bytes"""
    sizes = [0, 1, 15, 16, 17, 20, 24, 31, 32, 33, 64, 65, 128, 200]
    for name in (*PLAIN_HASHES, *AES_HASHES):
        got = taken(t, 51, m.XFRMA_ALG_AUTH, name, sizes)
        t.check(got == AES_HASHES.get(name, sizes), f"{name}: {got}")
    for name in (*GONE, "digest_null"):
        taken(t, 51, m.XFRMA_ALG_AUTH, name, sizes[:4])


@case("NEWSA algorithms")
def hashes_of_esp(t: Talk) -> None:
    """The same hashes beside a cipher; there a bad key is EINVAL without a text"""
    for name in (*PLAIN_HASHES, *AES_HASHES, *GONE, "digest_null"):
        taken(t, 50, m.XFRMA_ALG_AUTH, name, [0, 15, 16, 20, 32], CBC)
    t.refuse(EINVAL, "", NEW, sa(), [CBC, (m.XFRMA_ALG_AUTH, alg("cmac(aes)", 120))])


@case("NEWSA algorithms")
def truncations(t: Talk) -> None:
    """Every hash with every kind of truncation, for AH and for ESP"""
    for name in (*PLAIN_HASHES, *AES_HASHES, "digest_null"):
        for bits in (0, 1, 7, 8, 12, 24, 32, 96, 128, 160, 256, 512, 520):
            key = 128 if name in AES_HASHES else 160
            attr = (m.XFRMA_ALG_AUTH_TRUNC, alg(name, key, trunc=bits))
            offer(t, 51, [attr])
            offer(t, 50, [attr, CBC])


@case("NEWSA algorithms")
def ciphers(t: Talk) -> None:
    """Each cipher with its key sizes and their neighbours; a bad key is EINVAL without a text"""
    for name, sizes in BLOCK_CIPHERS:
        tried = sorted(
            {n for size in sizes for n in (size - 1, size, size + 1) if n >= 0} | {0, 64}
        )
        got = taken(t, 50, m.XFRMA_ALG_CRYPT, name, tried, SHA1)
        t.check(set(sizes) <= set(got), f"{name}: {got}")
    t.refuse(EINVAL, "", NEW, sa(), [(m.XFRMA_ALG_CRYPT, alg("cbc(aes)", 120))])
    taken(t, 50, m.XFRMA_ALG_CRYPT, "cbc(sm4)", [16], SHA1)


@case("NEWSA algorithms")
def older_names(t: Talk) -> None:
    """Older names are taken and shown as the proper ones"""
    names = ("aes", "des", "des3_ede", "cast5", "blowfish", "serpent", "camellia", "twofish")
    for name in (*names, "cipher_null", "sm4"):
        size = {"des": 8, "des3_ede": 24, "cipher_null": 0}.get(name, 16)
        offer(t, 50, [(m.XFRMA_ALG_CRYPT, alg(name, 8 * size)), SHA1])
    for name in ("md5", "sha1", "sha256", "sha384", "sha512", "rmd160", "sm3", "xcbc", "cmac"):
        offer(t, 51, [(m.XFRMA_ALG_AUTH, alg(name, 160))])


@case("NEWSA algorithms")
def weak_keys(t: Talk) -> None:
    """DES and 3DES with weak keys: all bytes alike, both halves alike"""
    for name, size in (("cbc(des)", 8), ("cbc(des3_ede)", 24)):
        head = name.encode().ljust(64, b"\0") + (8 * size).to_bytes(4, "little")
        for key in (bytes(size), b"\1" * size, b"\xfe" * size, b"12345678" * (size // 8)):
            offer(t, 50, [(m.XFRMA_ALG_CRYPT, head + key), SHA1])


@case("NEWSA algorithms")
def null_and_null(t: Talk) -> None:
    """No encryption and no integrity at all can be had"""
    null = (m.XFRMA_ALG_CRYPT, alg("ecb(cipher_null)", 0))
    for more in ([], [(m.XFRMA_ALG_AUTH, alg("digest_null", 0))], [SHA1]):
        offer(t, 50, [null, *more])


@case("NEWSA algorithms")
def with_extended_numbers(t: Talk) -> None:
    """With ESN a hash needs at least four bytes of ICV, or it is refused"""
    esn = (m.XFRMA_REPLAY_ESN_VAL, bytes(20) + (32).to_bytes(4, "little"))
    state = (esn[0], (1).to_bytes(4, "little") + esn[1][4:] + bytes(4))
    for bits in (0, 8, 16, 24, 32, 96):
        attr = (m.XFRMA_ALG_AUTH_TRUNC, alg("hmac(sha1)", 160, trunc=bits))
        for proto, more in ((50, [CBC]), (51, [])):
            t.send(NEW, sa(0x100 + bits, proto=proto, flags=128), [attr, *more, state])
    t.dump_sas()


@case("NEWSA algorithms")
def over_ipv6(t: Talk) -> None:
    """The same algorithms serve IPv6"""
    for spi, attrs in enumerate(
        (
            [(m.XFRMA_ALG_AEAD, alg("rfc4106(gcm(aes))", 160, 128))],
            [(m.XFRMA_ALG_AEAD, alg("rfc7539esp(chacha20,poly1305)", 288, 128))],
            [CBC, SHA1],
        ),
        0x100,
    ):
        t.accept(NEW, sa(spi, v6(1), v6(2)), attrs)
    t.dump_sas()


@case("NEWSA algorithms")
def names_are_exact(t: Talk) -> None:
    """A name counts up to its NUL; what follows it is forgotten"""
    name = b"cbc(aes)\0rubbish".ljust(64, b"\7")
    t.accept(
        NEW,
        sa(),
        [(m.XFRMA_ALG_CRYPT, name[:63] + b"\0" + (128).to_bytes(4, "little") + bytes(16))],
    )
    t.get_sa(sa_id())
    for other in (b"cbc(aes) ", b" cbc(aes)", b"cbc(aes", b"aes-generic", b"ctr(aes)", b"gcm(aes)"):
        raw = other.ljust(64, b"\0") + (128).to_bytes(4, "little") + bytes(16)
        offer(t, 50, [(m.XFRMA_ALG_CRYPT, raw)])
