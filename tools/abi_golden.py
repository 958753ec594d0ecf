#!/usr/bin/env python3
"""Ask a C compiler for every layout and number of the headers that pyxfrm.abi declares.

    tools/abi_golden.py --include DIR [--include DIR/x86_64-linux-gnu] [--cc gcc] --origin TEXT > tests/abi/golden.json

What to ask about is read from the headers themselves, not from our declarations: every structure, enum member
and object-like macro of ``<linux/xfrm.h>`` and ``<linux/netlink.h>``. So a number that we forgot is in the golden file and fails
its test. Of the other headers only the names below are asked for.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

WHOLE = ("linux/netlink.h", "linux/xfrm.h")
NAMED = {
    "linux/udp.h": ("UDP_ENCAP_ESPINUDP_NON_IKE", "UDP_ENCAP_ESPINUDP", "TCP_ENCAP_ESPINTCP"),
    "linux/in.h": ("IPPROTO_IP", "IPPROTO_IPIP", "IPPROTO_IPV6", "IPPROTO_ESP", "IPPROTO_AH", "IPPROTO_COMP"),
    "linux/in6.h": ("IPPROTO_ROUTING", "IPPROTO_DSTOPTS"),
    "linux/ipsec.h": ("IPSEC_PROTO_ANY", "IPSEC_ULPROTO_ANY"),
    "sys/socket.h": ("AF_UNSPEC", "AF_INET", "AF_INET6", "SOL_NETLINK"),
    "linux/version.h": ("LINUX_VERSION_MAJOR", "LINUX_VERSION_PATCHLEVEL", "LINUX_VERSION_SUBLEVEL"),
}  # fmt: skip

STRUCT = re.compile(r"\bstruct\s+(\w+)\s*\{([^{}]*)\}")
ENUM = re.compile(r"\benum\b\s*\w*\s*\{([^{}]*)\}")
MACRO = re.compile(r"^#define (\w+)[ \t]+(\S.*)$", re.MULTILINE)
FIELD = re.compile(r"(.*\S)\s+(\w+)\s*(\[[^\]]*\])?\s*(?:__attribute__\s*\(\(.*\)\))?\s*$")
PROGRAM = (
    "#include <stddef.h>",
    "#include <stdio.h>",
    r'#define SIGNED(n, x) printf(n " %lld\n", (long long)(x))',
    r'#define UNSIGNED(n, x) printf(n " %llu\n", (unsigned long long)(x))',
    "#define SHOW(n, x) ((x) < 0 ? SIGNED(n, x) : UNSIGNED(n, x))",
)


class Compiler:
    """A C compiler that sees the headers of some directories before its own."""

    def __init__(self, cc: str, include: list[Path]) -> None:
        self.command = [cc, *(f"-isystem{path}" for path in include)]
        self.version = self._run([cc, "--version"]).splitlines()[0]

    def _run(self, command: list[str], source: str = "") -> str:
        return subprocess.run(
            command, input=source, capture_output=True, text=True, check=True
        ).stdout

    def header(self, name: str) -> str:
        """The header's own text after the preprocessor, its macros kept, what it includes left out."""
        out = self._run([*self.command, "-E", "-dD", "-xc", "-"], f"#include <{name}>\n")
        kept, inside = [], False
        for line in out.splitlines():
            marker = re.match(r'# \d+ "([^"]*)"', line)
            if marker:
                inside = marker[1].endswith(f"/{name}")
            elif inside:
                kept.append(line)
        return "\n".join(kept)

    def ask(self, name: str, lines: list[str]) -> list[list[str]]:
        """The words that a program made of these statements prints, line by line."""
        head = (*PROGRAM, f"#include <{name}>", "int main(void) {")
        source = "\n".join((*head, *lines, "return 0; }"))
        with tempfile.TemporaryDirectory() as tmp:
            program = f"{tmp}/ask"
            self._run([*self.command, "-w", "-xc", "-o", program, "-"], source)
            return [line.split() for line in self._run([program]).splitlines()]


def constants_of(text: str) -> list[str]:
    """Names of enum members and of macros that stand for a value."""
    members = [
        word
        for body in ENUM.findall(re.sub(r"(?m)^#.*$", "", text))
        for word in re.findall(r"(\w+)\s*(?:=[^,]*)?(?:,|$)", body.strip())
    ]
    return sorted({*members, *(name for name, _ in MACRO.findall(text))})


def fields_of(body: str) -> list[tuple[str, str, bool]]:
    """(type, name, is it a flexible array) of each field of a structure's body."""
    fields = []
    for declaration in re.sub(r"(?m)^#.*$", "", body).split(";"):
        found = FIELD.search(declaration.strip())
        if found:
            fields.append((" ".join(found[1].split()), found[2], found[3] == "[]"))
    return fields


def values(cc: Compiler, header: str, names: list[str]) -> dict[str, int]:
    lines = [f'SHOW("{name}", {name});' for name in names]
    return {name: int(value) for name, value in cc.ask(header, lines)}


def structs(cc: Compiler, header: str, text: str) -> dict[str, dict[str, object]]:
    """size, align, and [type, name, offset, size] a field; a flexible array has size 0."""
    found: dict[str, dict[str, object]] = {}
    for name, body in STRUCT.findall(text):
        fields = fields_of(body)
        kind = f"struct {name}"
        lines = [f'printf("%zu %zu\\n", sizeof({kind}), _Alignof({kind}));']
        for _, field, flexible in fields:
            size = "(size_t)0" if flexible else f"sizeof((({kind} *)0)->{field})"
            lines.append(f'printf("%zu %zu\\n", offsetof({kind}, {field}), {size});')
        (size, align), *rest = cc.ask(header, lines)
        rows = [[t, f, int(o), int(s)] for (t, f, _), (o, s) in zip(fields, rest, strict=True)]
        found[name] = {"size": int(size), "align": int(align), "fields": rows}
    return found


def golden(cc: Compiler, origin: str) -> dict[str, object]:
    headers: dict[str, object] = {}
    for header in WHOLE:
        text = cc.header(header)
        headers[header] = {
            "structs": structs(cc, header, text),
            "constants": values(cc, header, constants_of(text)),
        }
    for header, names in NAMED.items():
        headers[header] = {"constants": values(cc, header, list(names))}
    return {"origin": origin, "compiler": cc.version, "headers": headers}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--include", type=Path, action="append", default=[], help="header directory"
    )
    parser.add_argument("--cc", default="gcc", help="C compiler (default: gcc)")
    parser.add_argument("--origin", required=True, help="package and version of the headers")
    args = parser.parse_args()
    made = golden(Compiler(args.cc, args.include), args.origin)
    text = json.dumps(made, indent=1)
    text = re.sub(r'\[\s+("[\w ]+"),\s+("\w+"),\s+(\d+),\s+(\d+)\s+\]', r"[\1, \2, \3, \4]", text)
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
