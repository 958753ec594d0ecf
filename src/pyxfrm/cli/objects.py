"""``xfrm state``, ``xfrm policy``, ``xfrm monitor``, ``xfrm migrate`` and ``xfrm tunnel``: finds the verb, parses its words, and has it done.

A verb may be shortened as in iproute2: any beginning will do, and of two that fit the first. Without a verb, ``state`` and ``policy`` list.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

from pyxfrm.cli.options import Options, take
from pyxfrm.errors import UsageError

if TYPE_CHECKING:
    from pyxfrm.cli.parse import Parsed

__all__ = ["find_verb", "migrate", "monitor", "policy", "run", "state", "tunnel"]

_LISTING = ((), ("list",), ("show",), ("list", "nokeys"))

_WITHOUT_WORDS = ("count", "getdefault")  # iproute2 passes over what follows


def find_verb(name: str, word: str) -> str | None:
    """The verb of an object that a word stands for."""
    from pyxfrm.cli.grammar import ALIASES, VERBS

    verbs = VERBS[name]
    if word in verbs:
        return word
    for verb in (*verbs, *ALIASES):
        if word and verb.startswith(word):
            return ALIASES.get(verb, verb)
    return None


def run(name: str, options: Options, words: list[str]) -> int:
    """One command: the words after ``state``, ``policy``, ``monitor`` or ``migrate``."""
    if options.batch is not None:
        raise UsageError("-batch: the commands are in the file; it stands alone")
    plain = not options.json and not options.about and options.family is None
    if plain and name in ("state", "policy") and tuple(words) in _LISTING:
        return _list(name, options, keys="nokeys" not in words)
    from pyxfrm.cli.grammar import VERBS

    if options.about or words[:1] == ["help"]:
        verb = find_verb(name, words[0]) if words and "" not in VERBS[name] else None
        return _help(name, verb)
    if "" in VERBS[name]:
        return _do(name, "", options, words)
    word, *rest = words or ["list"]
    verb = find_verb(name, word)
    if verb is None:
        raise UsageError(f'{name}: "{word}" is no command; try `xfrm {name} help`')
    return _do(name, verb, options, rest)


def _do(name: str, verb: str, options: Options, words: list[str]) -> int:
    from pyxfrm.cli.grammar import VERBS
    from pyxfrm.cli.parse import parse

    where = f"{name} {verb}".strip()
    if words == ["help"]:
        return _help(name, verb)
    parsed = parse(VERBS[name][verb], [] if verb in _WITHOUT_WORDS else words, where)
    module = import_module(f"pyxfrm.cli.{name}")
    handler: Callable[[Options, Parsed], int] = getattr(module, verb.replace("-", "_") or "run")
    return handler(options, parsed)


def _help(name: str, verb: str | None) -> int:
    from pyxfrm.cli import help as help_text

    print(help_text.of(name, verb))
    return 0


def _list(name: str, options: Options, *, keys: bool) -> int:
    """``state`` and ``policy`` without a filter, as text."""
    from pyxfrm.abi.messages import XFRM_MSG_GETPOLICY, XFRM_MSG_GETSA
    from pyxfrm.cli.quick import dump
    from pyxfrm.client.request import Dump
    from pyxfrm.transport.tracer import traced

    number = XFRM_MSG_GETSA if name == "state" else XFRM_MSG_GETPOLICY
    text_of = getattr(import_module(f"pyxfrm.cli.text.{name}"), name)
    form = options.form._replace(keys=options.keys and keys)
    transport = traced(options.connect())
    try:
        dump(transport, Dump(number), text_of, form, options.timeout)
    finally:
        transport.close()
    return 0


def state(argv: list[str]) -> int:
    """``xfrm state VERB ...``."""
    return run("state", *take(argv))


def policy(argv: list[str]) -> int:
    """``xfrm policy VERB ...``."""
    return run("policy", *take(argv))


def monitor(argv: list[str]) -> int:
    """``xfrm monitor ...``."""
    return run("monitor", *take(argv))


def migrate(argv: list[str]) -> int:
    """``xfrm migrate ...``."""
    return run("migrate", *take(argv))


def tunnel(argv: list[str]) -> int:
    """``xfrm tunnel VERB ...``."""
    return run("tunnel", *take(argv))
