"""``xfrm completion bash|zsh``: a script for the shell, which asks ``xfrm complete`` what could come next.

So the shell knows the words of the grammar as this version has them, and nothing is written down twice.
"""

from __future__ import annotations

import sys
from importlib import import_module

from pyxfrm.cli.grammar import GROUPS, VALUES, VERBS, Group, Keyword, Verb
from pyxfrm.cli.introspect import Line, line_of
from pyxfrm.cli.options import OPTIONS, leading
from pyxfrm.errors import UsageError

__all__ = ["candidates", "complete", "completion", "line_named"]

_BASH = """\
# bash completion for xfrm: eval "$(xfrm completion bash)"
_xfrm() {
    local cur=${COMP_WORDS[COMP_CWORD]}
    mapfile -t COMPREPLY < <(compgen -W "$(xfrm complete "${COMP_WORDS[@]:1:COMP_CWORD-1}" 2>/dev/null)" -- "$cur")
}
complete -o default -F _xfrm xfrm
"""
_ZSH = """\
#compdef xfrm
# zsh completion for xfrm: eval "$(xfrm completion zsh)"
_xfrm() {
    local -a found
    found=(${(f)"$(xfrm complete ${words[2,CURRENT-1]} 2>/dev/null)"})
    (( $#found )) && compadd -- $found || _files
}
compdef _xfrm xfrm
"""


def completion(argv: list[str]) -> int:
    """Print the script of a shell."""
    scripts = {"bash": _BASH, "zsh": _ZSH}
    if len(argv) != 1 or argv[0] not in scripts:
        raise UsageError("completion: which shell? bash or zsh")
    sys.stdout.write(scripts[argv[0]])
    return 0


def complete(argv: list[str]) -> int:
    """Print what could follow these words, one a line."""
    sys.stdout.write("".join(f"{word}\n" for word in candidates(argv)))
    return 0


def candidates(words: list[str]) -> list[str]:
    """What could follow ``words``."""
    from pyxfrm.cli import COMMANDS

    words = words[leading(words) :]
    if not words:
        return sorted(COMMANDS) + [text.split(" ")[0] for text, _ in OPTIONS]
    name, *rest = words
    if name not in VERBS:
        return _of_line(name, rest)
    verbs = VERBS[name]
    if "" in verbs:
        return _of_verb(verbs[""], rest)
    if not rest:
        return [*verbs, "help"]
    from pyxfrm.cli.objects import find_verb

    verb = find_verb(name, rest[0])
    return [] if verb is None else _of_verb(verbs[verb], rest[1:])


def line_named(name: str) -> Line | None:
    """The command line of a subcommand that has a parser; None of one that has none."""
    from pyxfrm.cli import COMMANDS

    if name not in COMMANDS:
        return None
    module = import_module(COMMANDS[name].target.partition(":")[0])
    return line_of(module.parser()) if hasattr(module, "parser") else None


def _of_line(name: str, words: list[str]) -> list[str]:
    """What a parser would take next: the values of the last option, or verbs and options."""
    from pyxfrm.cli import COMMANDS

    line = line_named(name)
    if line is None:
        known = COMMANDS[name].words.split("|") if name in COMMANDS and not words else []
        return [word for word in known if word.islower()]
    for word in words:
        line = line.verbs.get(word, line)
    last = words[-1] if words else ""
    for each in line.words:
        if last in each.names and each.value:
            return [*each.choices]
    options = [name for each in line.words for name in each.names if name.startswith("--")]
    places = [choice for each in line.words if not each.names for choice in each.choices]
    return [*line.verbs, *places, *options, "--help"]


def _of_verb(verb: Verb, words: list[str]) -> list[str]:
    """Keywords of the verb, or what the last keyword still wants."""
    known = _keywords(verb)
    for back, word in enumerate(reversed(words)):
        keyword = known.get(word)
        if keyword is not None:
            return _after(keyword, back, words[len(words) - back :], known)
    return sorted(known)


def _keywords(verb: Verb) -> dict[str, Keyword]:
    known: dict[str, Keyword] = {}
    for row in verb.words:
        rows = GROUPS[row.name] if isinstance(row, Group) else (row,)
        for keyword in rows:
            known.setdefault(keyword.word, keyword)
            for group in filter(None, (keyword.run, keyword.one)):
                for inner in GROUPS[group]:
                    known.setdefault(inner.word, inner)
    return known


def _after(keyword: Keyword, given: int, values: list[str], known: dict[str, Keyword]) -> list[str]:
    """``given`` values stand behind the keyword."""
    if keyword.many:
        return [w for w in VALUES[keyword.many].words if w not in values] + sorted(known)
    if given < len(keyword.values):
        return list(VALUES[keyword.values[given]].words)
    if keyword.one and not given:
        return [k.word for k in GROUPS[keyword.one]]
    own = [k.word for k in keyword.more]
    first = list(VALUES[keyword.maybe].words) if keyword.maybe and not given else []
    run = [k.word for k in GROUPS[keyword.run]] if keyword.run else []
    return [*own, *first, *run, *(w for w in sorted(known) if w not in own)]
