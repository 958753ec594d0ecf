"""``xfrm show``: pasted text as table, JSON, and without keys."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from pyxfrm import cli
from pyxfrm.client.iptext import scrub

Captured = pytest.CaptureFixture[str]


DATA = Path(__file__).parents[1] / "client" / "data"


@pytest.mark.parametrize("form", [[], ["--json"], ["--table"]])
@pytest.mark.parametrize("name", ["state-stats", "policy-stats"])
def test_show_has_no_keys(name: str, form: list[str], capsys: Captured) -> None:
    assert cli.main(["show", str(DATA / f"{name}.txt"), *form]) == 0
    told = capsys.readouterr().out
    assert "198.51.100.1" in told
    assert "0102030405060708" not in told


def test_show_as_json(capsys: Captured) -> None:
    assert cli.main(["show", "--json", str(DATA / "state.txt")]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["schema"], len(told["show"])) == (1, 11)
    last = told["show"][-1]
    assert (last["kind"], last["line"], last["dst"]) == ("state", 77, "198.51.100.1")
    assert last["algorithms"] == [
        {"kind": "aead", "name": "rfc4106(gcm(aes))", "key_bits": 160, "icv_bits": 128}
    ]


def test_scrub_reads_a_pipe_and_keeps_every_other_byte(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    text = "caf\xe9\r\n".encode("latin-1") + (DATA / "state.txt").read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
    assert cli.main(["show", "-", "--scrub"]) == 0
    expected = scrub(text.decode("latin-1")).encode("latin-1")
    assert capfdbinary.readouterr().out == expected


def test_a_mistake_in_a_text_is_told_with_file_and_line(tmp_path: Path, capsys: Captured) -> None:
    file = tmp_path / "pasted"
    file.write_text("src 192.0.2.1 dst 192.0.2.2\n\tproto esp spi x reqid 1 mode tunnel\n")
    assert cli.main(["show", str(file)]) == 2
    assert capsys.readouterr().err == f"xfrm: {file}:2: spi: 'x' is not a number\n"


WIDE = (
    "src 2001:db8:1111:2222:3333:4444:5555:6666 dst 2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff\n"
    "\tproto esp spi 0x00000200 reqid 7 mode tunnel\n\tmark 0x5/0xff\n"
    "\taead rfc4106(gcm(aes)) 0x0102030405060708090a0b0c0d0e0f1011121314 128\n"
    "\tencap type espinudp sport 4500 dport 61234 addr 0.0.0.0\n\tif_id 0x3\n"
)


def test_nothing_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    file = tmp_path / "pasted"
    file.write_text(WIDE)
    told = ["0x00000200", "0x5/0xff", "0x3", "4500>61234", "rfc4106(gcm(aes))"]
    for terminal, columns in ((False, "80"), (True, "80"), (True, "200")):
        monkeypatch.setenv("COLUMNS", columns)
        monkeypatch.setattr(sys.stdout, "isatty", lambda told=terminal: told)
        assert cli.main(["show", str(file)]) == 0
        out = capsys.readouterr().out
        words = [*WIDE.split()[1:4:2], *told]
        assert [word for word in words if word not in out.split()] == []
        assert max(map(len, out.splitlines())) <= int(columns) or not terminal


def test_a_terminal_gets_letters_only(tmp_path: Path, capsys: Captured) -> None:
    file = tmp_path / "pasted"
    file.write_text(WIDE.replace("rfc4106(gcm(aes))", "a\x1b[2Jb"))
    cli.main(["show", str(file)])
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err
