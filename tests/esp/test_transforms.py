"""Transforms against published packets, and against what every transform must do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxfrm.errors import UsageError
from pyxfrm.esp import Algorithm, Association
from pyxfrm.esp.transforms import Transform, make_transform
from tests.esp.support import A4, ALGORITHMS, B4, SPI, esp_sa, key

ALL = sorted(ALGORITHMS)


def transform(**algorithms: Algorithm) -> Transform:
    return make_transform(Association(spi=1, saddr=A4, daddr=B4, **algorithms))  # type: ignore[arg-type]


def test_rfc4106_packet() -> None:
    """draft-mcgrew-gcm-test-01 §2, test case 1: a DNS query, with ESN."""
    secret = bytes.fromhex("4c80cdefbb5d10da906ac73c3613a6342e443b68")
    aad = bytes.fromhex("000043218765432100000000")
    iv = bytes.fromhex("4956ed7e3b244cfe")
    plain = bytes.fromhex(
        "45000048699a000080114db7c0a80102c0a801010a9bf15638d3010000010000"
        "00000000045f736970045f756470037369700963796265726369747902646b00"
        "0021000101020201"
    )
    sealed = bytes.fromhex(
        "fecf537e729d5b07dc30df528dd22b768d1b98736696a6fd348509fa13ceac34"
        "cfa2436f14a3f3cf65925bf1f4a13c5d15b21e1884f5ff6247aeabb786b93bce"
        "61bc17d768fd9732459018148f6cbe722fd04796562dfdb4"
    )
    gcm = transform(aead=Algorithm("rfc4106(gcm(aes))", secret, 128))
    assert gcm.encrypt(gcm.salt + iv, plain, aad) == sealed
    assert gcm.decrypt(gcm.salt + iv, sealed, aad) == plain
    for bits in (64, 96):
        short = transform(aead=Algorithm("rfc4106(gcm(aes))", secret, bits))
        cut = sealed[: len(plain) + bits // 8]
        assert short.encrypt(short.salt + iv, plain, aad) == cut
        assert short.decrypt(short.salt + iv, cut, aad) == plain


def test_rfc7634_packet() -> None:
    """RFC 7634 Appendix A: a ping in tunnel mode."""
    secret = bytes(range(0x80, 0xA0)) + bytes.fromhex("a0a1a2a3")
    plain = bytes.fromhex(
        "45000054a6f200004001e778c6336405c000020508005b7a3a080000553bec10"
        "0007362708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20212223"
        "2425262728292a2b2c2d2e2f303132333435363701020204"
    )
    sealed = bytes.fromhex(
        "24039428b97f417e3c13753a4f05087b67c352e6a7fab1b982d466ef407ae5c6"
        "14ee8099d52844eb61aa95dfab4c02f72aa71e7c4c4f64c9befe2facc638e8f3"
        "cbec163fac469b502773f6fb94e664da9165b82829f641e0"
        "76aaa8266b7fb0f7b11b369907e1ad43"
    )
    aad, iv = bytes.fromhex("0102030400000005"), bytes.fromhex("1011121314151617")
    chacha = transform(aead=Algorithm("rfc7539esp(chacha20,poly1305)", secret, 128))
    assert chacha.encrypt(chacha.salt + iv, plain, aad) == sealed
    assert chacha.decrypt(chacha.salt + iv, sealed, aad) == plain


def test_rfc3602_packet() -> None:
    """RFC 3602 §4 case 5: a ping in transport mode, without a MAC. (Its IV is not a counter.)"""
    cbc = transform(crypt=Algorithm("cbc(aes)", bytes.fromhex("90d382b410eeba7ad938c46cec1a82bf")))
    iv = bytes.fromhex("e96e8c08ab465763fd098d45dd3ff893")
    plain = bytes.fromhex(
        "08000ebda70a00008e9c083db95b070008090a0b0c0d0e0f1011121314151617"
        "18191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f3031323334353637"
        "0102030405060708090a0b0c0d0e0e01"
    )
    sealed = bytes.fromhex(
        "f663c25d325c18c6a9453e194e120849a4870b66cc6b9965330013b4898dc856"
        "a4699e523a55db080b59ec3a8e4b7e52775b07d1db34ed9c538ab50c551b874a"
        "a269add047ad2d5913ac19b7cfbad4a6"
    )
    assert cbc.decrypt(iv, sealed, bytes(8)) == plain


@pytest.mark.parametrize(
    ("secret", "nonce", "iv", "plain", "sealed"),
    [
        (
            "ae6852f8121067cc4bf7a5765577f39e",
            "00000030",
            "0000000000000000",
            b"Single block msg".hex(),
            "e4095d4fb7a7b3792d6175a3261311b8",
        ),
        (
            "7e24067817fae0d743d6ce1f32539163",
            "006cb6db",
            "c0543b59da48d90b",
            bytes(range(32)).hex(),
            "5104a106168a72d9790d41ee8edad388eb2e1efc46da57c8fce630df9141be28",
        ),
    ],
    ids=["RFC 3686 §6 vector 1", "RFC 3686 §6 vector 2"],
)
def test_rfc3686(secret: str, nonce: str, iv: str, plain: str, sealed: str) -> None:
    ctr = transform(crypt=Algorithm("rfc3686(ctr(aes))", bytes.fromhex(secret + nonce)))
    whole = ctr.salt + bytes.fromhex(iv)
    assert ctr.encrypt(whole, bytes.fromhex(plain), bytes(8)).hex() == sealed
    assert ctr.decrypt(whole, bytes.fromhex(sealed), bytes(8)).hex() == plain


GCM_PLAIN = bytes.fromhex(
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
    "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
)
GCM_AAD = bytes.fromhex("feedfacedeadbeeffeedfacedeadbeefabaddad2")


@pytest.mark.parametrize(
    ("size", "sealed"),
    [
        (16, "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e0915bc94fbc3221a5db94fae95ae7121a47"),
        (24, "3980ca0b3c00e841eb06fac4872a2757859e1ceaa6efd984628593b40ca1e19c7d773d00c144c525ac619d18c84a3f4718e2448b2fe324d9ccda27102519498e80f1478f37ba55bd6d27618c"),
        (32, "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b"),
    ],
    ids=["test case 4", "test case 10", "test case 16"],
)  # fmt: skip
@pytest.mark.parametrize("icv", [16, 12, 8])
def test_gcm(size: int, sealed: str, icv: int) -> None:
    """McGrew and Viega, "The Galois/Counter Mode of Operation (GCM)", Appendix B, as submitted to NIST; tags also cut (RFC 4106 §6)."""
    secret = (bytes.fromhex("feffe9928665731c6d6a8f9467308308") * 2)[:size]
    nonce = bytes.fromhex("cafebabefacedbaddecaf888")
    made = transform(aead=Algorithm("rfc4106(gcm(aes))", secret + nonce[:4], icv * 8))
    wanted = bytes.fromhex(sealed)[: len(GCM_PLAIN) + icv]
    assert made.encrypt(nonce, GCM_PLAIN, GCM_AAD) == wanted
    assert made.decrypt(nonce, wanted, GCM_AAD) == GCM_PLAIN


BLOCKS = bytes.fromhex(
    "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
    "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
)


@pytest.mark.parametrize(
    ("secret", "sealed"),
    [
        ("2b7e151628aed2a6abf7158809cf4f3c", "7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b273bed6b8e3c1743b7116e69e222295163ff1caa1681fac09120eca307586e1a7"),
        ("8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b", "4f021db243bc633d7178183a9fa071e8b4d9ada9ad7dedf4e5e738763f69145a571b242012fb7ae07fa9baac3df102e008b0e27988598881d920a9e64f5615cd"),
        ("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4", "f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d39f23369a9d9bacfa530e26304231461b2eb05e2c39be9fcda6c19078c6a9d1b"),
    ],
    ids=["F.2.2", "F.2.4", "F.2.6"],
)  # fmt: skip
def test_sp_800_38a(secret: str, sealed: str) -> None:
    """NIST SP 800-38A, CBC decryption. (Ours encrypts with IVs of its own.)"""
    made = transform(crypt=Algorithm("cbc(aes)", bytes.fromhex(secret)))
    assert made.decrypt(bytes(range(16)), bytes.fromhex(sealed), bytes(8)) == BLOCKS


def test_gmac_is_gcm_of_nothing() -> None:
    """RFC 4543 §3.2, by the library's other GCM interface."""
    from cryptography.hazmat.primitives.ciphers import Cipher
    from cryptography.hazmat.primitives.ciphers.algorithms import AES
    from cryptography.hazmat.primitives.ciphers.modes import GCM

    secret, iv, aad, plain = key(20), b"eight-iv", b"SPI.SEQ.", b"in clear"
    cipher = Cipher(AES(secret[:16]), GCM(secret[16:] + iv)).encryptor()
    cipher.authenticate_additional_data(aad + iv + plain)
    cipher.finalize()
    gmac = transform(aead=Algorithm("rfc4543(gcm(aes))", secret, 128))
    assert gmac.encrypt(secret[16:] + iv, plain, aad) == plain + cipher.tag


def body_and_iv(made: Transform, sealed: bytes, nonce: bytes) -> tuple[bytes, bytes]:
    """(nonce for decrypt, rest) as an opener finds them."""
    if made.writes_iv:
        return sealed[:16], sealed[16:]
    return nonce[: len(made.salt) + made.iv_size], sealed


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("aad", [b"SPI.LOW.", b"SPI.HIGHLOW."], ids=["seq", "esn"])
@given(st.integers(1, 2**64 - 1), st.integers(0, 20))
def test_round_trip(name: str, aad: bytes, counter: int, blocks: int) -> None:
    made = make_transform(esp_sa(name))
    plain = bytes(range(256))[: blocks * made.block]
    nonce = made.salt + counter.to_bytes(8, "big")
    sealed = made.encrypt(nonce, plain, aad)
    own = made.iv_size if made.writes_iv else 0
    assert len(sealed) == own + len(plain) + made.icv_size
    assert made.decrypt(*body_and_iv(made, sealed, nonce), aad) == plain


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("aad", [b"SPI.LOW.", b"SPI.HIGHLOW."], ids=["seq", "esn"])
@given(st.data())
def test_every_bit_is_authenticated(name: str, aad: bytes, data: st.DataObject) -> None:
    made = make_transform(esp_sa(name))
    nonce = made.salt + (7).to_bytes(8, "big")
    iv, rest = body_and_iv(made, made.encrypt(nonce, bytes(32), aad), nonce)
    whole = iv[len(made.salt) :] + rest + aad
    bit = data.draw(st.integers(0, len(whole) * 8 - 1))
    wrong = (int.from_bytes(whole, "big") ^ 1 << bit).to_bytes(len(whole), "big")
    ivs = made.iv_size
    parts = made.salt + wrong[:ivs], wrong[ivs : -len(aad)], wrong[-len(aad) :]
    with pytest.raises(made.failures):
        made.decrypt(*parts)


@pytest.mark.parametrize("name", ALL)
def test_contexts_do_not_remember_packets(name: str) -> None:
    """The same input gives the same output whatever was sealed, opened or refused before."""
    aad, used, fresh = b"SPI.LOW.", make_transform(esp_sa(name)), make_transform(esp_sa(name))
    for counter in (5, 1, 9):
        nonce = used.salt + counter.to_bytes(8, "big")
        sealed = used.encrypt(nonce, bytes(48), aad)
        with pytest.raises(used.failures):
            used.decrypt(*body_and_iv(used, sealed, nonce), b"SPI.WRNG")
        assert sealed == make_transform(esp_sa(name)).encrypt(nonce, bytes(48), aad)
        assert fresh.decrypt(*body_and_iv(fresh, sealed, nonce), aad) == bytes(48)


def test_the_cbc_iv_is_the_encrypted_counter() -> None:
    """NIST SP 800-38A Appendix C, first method."""
    from cryptography.hazmat.primitives.ciphers import Cipher
    from cryptography.hazmat.primitives.ciphers.algorithms import AES
    from cryptography.hazmat.primitives.ciphers.modes import CBC, ECB

    made = make_transform(esp_sa("cbc128-sha1"))
    aes = AES(key(16))
    for counter in (1, 2, 2**40):
        iv = Cipher(aes, ECB()).encryptor().update(counter.to_bytes(16, "big"))
        rest = Cipher(aes, CBC(iv)).encryptor().update(bytes(64))
        sealed = made.encrypt(counter.to_bytes(8, "big"), bytes(64), b"SPI.LOW.")
        assert sealed[:-12] == iv + rest


def test_cbc_ciphertext_of_no_whole_blocks() -> None:
    made = make_transform(esp_sa("cbc128-sha1"))
    null = make_transform(esp_sa("null-sha1"))
    odd = null.encrypt(b"", bytes(16) + bytes(17), b"SPI.LOW.")  # rightly authenticated
    with pytest.raises(ValueError, match="multiple of 16"):
        made.decrypt(odd[:16], odd[16:], b"SPI.LOW.")


@pytest.mark.parametrize(
    ("algorithms", "line"),
    [
        ({}, "AEAD or CRYPT must be provided"),
        ({"aead": Algorithm("gcm(aes)", bytes(20), 128)}, "is not one of"),
        ({"aead": Algorithm("rfc4106(gcm(aes))", bytes(16), 128)}, "it has 20, 28, 36"),
        ({"aead": Algorithm("rfc4106(gcm(aes))", bytes(20), 80)}, "80 bits; it has 64, 96, 128"),
        ({"aead": Algorithm("rfc4106(gcm(aes))", bytes(20))}, "0 bits"),
        ({"aead": Algorithm("rfc4309(ccm(aes))", bytes(20), 128)}, "it has 19, 27, 35"),
        ({"aead": Algorithm("rfc4543(gcm(aes))", bytes(20), 64)}, "64 bits; it has 128"),
        ({"aead": Algorithm("rfc7539esp(chacha20,poly1305)", bytes(20), 128)}, "it has 36"),
        ({"crypt": Algorithm("cbc(des)", bytes(8))}, "is not one of"),
        ({"crypt": Algorithm("cbc(aes)", bytes(20))}, "it has 16, 24, 32"),
        ({"crypt": Algorithm("rfc3686(ctr(aes))", bytes(16))}, "it has 20, 28, 36"),
        ({"crypt": Algorithm("ecb(cipher_null)", bytes(1))}, "it has none"),
    ],
)
def test_what_cannot_be_is_refused(algorithms: dict[str, Algorithm], line: str) -> None:
    with pytest.raises(UsageError, match=line):
        transform(**algorithms)


def test_second_names() -> None:
    auth = Algorithm("sha1", key(20))
    assert transform(crypt=Algorithm("aes", key(16)), auth=auth).block == 16
    assert transform(crypt=Algorithm("cipher_null"), auth=auth).iv_size == 0


@pytest.mark.parametrize("name", ALL)
def test_no_key_in_sight(name: str) -> None:
    sa = esp_sa(name)
    shown = repr(sa) + repr(make_transform(sa))
    for algorithm in ALGORITHMS[name].values():
        assert algorithm.key == b"" or repr(algorithm.key)[2:-1] not in shown
        assert algorithm.key == b"" or algorithm.key.hex() not in shown
    assert str(SPI) in shown
