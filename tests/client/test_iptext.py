"""Text of ``ip xfrm``, read back. Where the text in data/ comes from is told in data/README.md."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxfrm.client.iptext import HIDDEN, PolicyText, StateText, parse
from pyxfrm.client.iptext_lines import AlgorithmText, Masked
from pyxfrm.errors import UsageError
from pyxfrm.model import ip, network

DATA = Path(__file__).parent / "data"
FILES = sorted(path.stem for path in DATA.glob("*.txt"))
KEYS = ("0x0102030405060708090a0b0c0d0e0f", "0x000102", "7369787465656e", "sixteen")


def text(name: str) -> str:
    return (DATA / f"{name}.txt").read_text()


def state(name: str, spi: int) -> StateText:
    found = [one for one in parse(text(name)) if isinstance(one, StateText) and one.spi == spi]
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize("name", FILES)
def test_every_line_is_known(name: str) -> None:
    records = parse(text(name), name)
    assert len(records) == (5 if name.startswith("policy") else 11)
    assert [one.other for one in records if one.other] == []


def test_an_sa_of_many_parts() -> None:
    sa = state("state", 0xC0FFEE02)
    assert (sa.src, sa.dst, sa.proto) == (ip("198.51.100.1"), ip("192.0.2.10"), "esp")
    assert (sa.reqid, sa.mode, sa.dir, sa.flags) == (1, "tunnel", "in", ("esn",))
    assert sa.window == 128
    assert sa.bitmap == "00000000 00000000 00000000 00000000"
    assert sa.algorithms == (
        AlgorithmText("auth-trunc", "hmac(sha256)", 256, 128),
        AlgorithmText("enc", "cbc(aes)", 128, None),
    )
    assert sa.encap == {"type": "espinudp", "sport": 4500, "dport": 4500, "addr": ip("0.0.0.0")}


def test_marks_selector_and_interface() -> None:
    sa = state("state", 0x300)
    assert (sa.mark, sa.output_mark, sa.if_id) == (Masked(5, 0xFF), Masked(7, 0xFF), 0x2A)
    assert sa.sel is not None
    assert (sa.sel["src"], sa.sel["dport"]) == (network("2001:db8::1/128"), "4500")


def test_statistics() -> None:
    sa = state("state-stats", 0xC0FFEE02)
    assert sa.limits == {"soft_bytes": 1000000, "hard_packets": 4000000, "hard_add": 3600}
    assert sa.counters == {"bytes": 0, "packets": 0}
    assert sa.refusals == {"replay-window": 0, "replay": 0, "failed": 0}
    assert (sa.window, sa.used) == (128, None)


def test_flags_that_stick_together() -> None:
    sa = state("state-stats", 0x600)
    assert sa.flags == ("noecn", "nopmtudisc", "esn")
    assert sa.extra_flags == ("dont-encap-dscp", "oseq-may-wrap")
    assert sa.tfcpad == 100


def test_both_halves_of_a_long_number() -> None:
    changed = text("state").replace(
        "seq-hi 0x0, seq 0x0, oseq-hi 0x0", "seq-hi 0x1, seq 0x2, oseq-hi 0x3"
    )
    found = [one for one in parse(changed) if isinstance(one, StateText) and one.spi == 0x600]
    assert (found[0].seq, found[0].oseq) == (0x1_0000_0002, 0x3_0000_0000)


@pytest.mark.parametrize("name", ["policy", "policy-stats", "policy-oneline"])
def test_a_policy(name: str) -> None:
    forward = next(p for p in parse(text(name)) if isinstance(p, PolicyText) and p.dir == "fwd")
    assert (forward.priority, forward.mark, forward.if_id) == (7, Masked(1, 3), 0x2A)
    assert forward.sel["src"] == network("10.2.0.0/16")
    template = forward.templates[0]
    assert (template["src"], template["spi"], template["mode"]) == (
        ip("198.51.100.1"),
        0x99,
        "tunnel",
    )


def test_the_one_line_form_says_the_same() -> None:
    def plain(name: str) -> list[str]:
        return [re.sub(r"line=\d+", "", repr(one)) for one in parse(text(name))]

    assert plain("state-oneline") == plain("state")
    assert plain("policy-oneline") == plain("policy-stats")


@pytest.mark.parametrize(
    "line",
    [
        "\tauth hmac(sha1) 0x000102030405060708090a0b0c0d0e0f10111213 (160 bits)",
        "\tauth-trunc hmac(sha1) 0x000102030405060708090a0b0c0d0e0f10111213 (160 bits) 96",
        "        auth hmac(sha1) 0x000102030405060708090a0b0c0d0e0f10111213",
    ],
)
def test_older_forms_of_an_algorithm(line: str) -> None:
    head = "src 192.0.2.1 dst 192.0.2.2\n\tproto esp spi 0x100(256) reqid 1(0x1) mode tunnel\n"
    (sa,) = parse(head + line)
    assert isinstance(sa, StateText)
    assert [(a.name, a.key_bits) for a in sa.algorithms] == [("hmac(sha1)", 160)]


def test_a_prompt_and_blank_lines_are_passed_over() -> None:
    pasted = (
        "root@gw:~# ip xfrm state\n\n" + text("state") + "\n# ip xfrm policy\n" + text("policy")
    )
    assert len(parse(pasted)) == 16


def test_a_line_that_nobody_knows_is_kept_without_its_long_numbers() -> None:
    (sa,) = parse(text("state").split("src ")[0] + "src 192.0.2.1 dst 192.0.2.2\n"
        "proto esp spi 1 reqid 1 mode tunnel\nnews 0x0102030405060708090a0b0c0d0e0f\n")  # fmt: skip
    assert sa.other == (f"news {HIDDEN}",)


HEAD = "src 192.0.2.1 dst 192.0.2.2\n"
NAME = "proto esp spi 0x1 reqid 1 mode tunnel\n"


@pytest.mark.parametrize(
    ("given_text", "told"),
    [
        ("hello", "f:1: not the beginning"),
        (HEAD, "f:1: neither an SA"),
        (HEAD + "nonsense", "f:1: neither an SA"),
        (HEAD + "proto esp spi x reqid 1 mode tunnel", "f:2: spi: 'x' is not a number"),
        (HEAD + "proto esp spi 1 mode tunnel", "f:2: reqid is missing"),
        (HEAD + "proto esp spi", "f:2: spi: a value is missing"),
        ("src 192.0.2.300 dst 192.0.2.2\n" + NAME, "f:1: src: address"),
        (HEAD + NAME + "enc", "f:3: enc: the algorithm's name is missing"),
        (HEAD + NAME + "enc cbc(aes) nokey 7 8", "f:3: enc: what follows"),
        (
            HEAD + NAME + "enc cbc(ae0x0102030405",
            "f:3: enc: the algorithm's name runs into its key",
        ),
        (HEAD + NAME + "enc cbc(ae0102030405", "f:3: enc: the algorithm's name runs into its key"),
        (HEAD + NAME + "mark 0x1/0xg", "f:3: mark: '0xg' is not a number"),
        (HEAD + NAME + "limit: soft", "f:3: not a limit"),
        (
            HEAD + "dir in priority 0\nproto esp reqid 0 mode tunnel",
            "f:3: proto: there is no `tmpl`",
        ),
        (HEAD + NAME + "sel src 1.2.3.4/33 dst 0.0.0.0/0", "f:3: src: "),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(given_text: str, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(given_text, "f")
    assert str(caught.value).startswith(told)
    assert "\n" not in str(caught.value)


@given(st.text(alphabet="src dt0x1/()\n\t\\:.proesiqmdnkf", max_size=200))
def test_any_text_is_read_or_refused(noise: str) -> None:
    for tail in (noise, HEAD + NAME + noise, HEAD + "dir in priority 0\n" + noise):
        told = ""
        try:
            parse(tail)
        except UsageError as why:
            told = str(why)
        assert "\n" not in told


@given(st.sampled_from(FILES), st.data())
def test_a_cut_text_is_read_or_refused_and_shows_no_key(name: str, data: st.DataObject) -> None:
    whole = text(name)
    at = data.draw(st.integers(0, len(whole)))
    try:
        told = repr(parse(whole[:at] + whole[at + data.draw(st.integers(0, 3)) :]))
    except UsageError as why:
        told = str(why)
    assert not [key for key in KEYS if key in told]


def test_what_a_mail_program_quoted_is_read() -> None:
    text = (DATA / "state-stats.txt").read_text()
    plain = parse(text)
    assert plain
    for quote in ("> ", ">", "> > ", ">> "):
        assert parse("".join(f"{quote}{line}" for line in text.splitlines(keepends=True))) == plain
    with pytest.raises(UsageError, match="text:2: "):
        parse("> src 192.0.2.1 dst 192.0.2.2\n> \tproto esp spi x reqid 1 mode tunnel\n")


def test_an_aead_sa_with_a_mark() -> None:
    text = (
        "src 192.0.2.1 dst 192.0.2.2\n\tproto esp spi 0x1 reqid 1 mode tunnel\n"
        f"\tmark 0x5/0xff \n\taead rfc4106(gcm(aes)) 0x{bytes(20).hex()} 128\n"
    )
    (one,) = parse(text)
    assert isinstance(one, StateText)
    assert (one.mark.mask, one.algorithms[0].key_bits) == (0xFF, 160)
