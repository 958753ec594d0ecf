"""Which files, in which order, does a module's name need?"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxfrm.lab.errors import LabError
from pyxfrm.lab.guest.modprobe import script
from pyxfrm.lab.modules import ModuleTree, find_tree

DEP = """\
kernel/net/ipv4/esp4.ko: kernel/net/xfrm/xfrm_algo.ko kernel/crypto/aead.ko kernel/crypto/sk.ko
kernel/net/xfrm/xfrm_algo.ko: kernel/crypto/aead.ko kernel/crypto/sk.ko
kernel/crypto/aead.ko:
kernel/crypto/sk.ko:
kernel/net/ipv6/mip6.ko.xz: kernel/crypto/sk.ko
kernel/crypto/des-generic.ko.zst:
kernel/drivers/net/b43.ko.gz:
"""
ALIAS = """\
# Aliases extracted from modules themselves.
alias xfrm-type-2-50 esp4
alias xfrm-type-10-43 mip6
alias xfrm-type-10-60 mip6
alias crypto-des des_generic
alias crypto-des des-generic
alias pci:v000014E4d*sv*sd*bc*sc*i* b43
alias crypto-gone not_there
"""


@pytest.fixture
def tree(tmp_path: Path) -> ModuleTree:
    (tmp_path / "modules.dep").write_text(DEP)
    (tmp_path / "modules.alias").write_text(ALIAS)
    (tmp_path / "modules.builtin").write_text("kernel/crypto/aes.ko\n")
    return ModuleTree(tmp_path)


def order(tree: ModuleTree, name: str) -> list[str]:
    return [path.name for path in tree.load_order(name)]


def test_what_a_module_needs_comes_before_it(tree: ModuleTree) -> None:
    assert order(tree, "esp4") == ["sk.ko", "aead.ko", "xfrm_algo.ko", "esp4.ko"]


def test_an_order_has_every_dependency_first_and_once(tree: ModuleTree) -> None:
    for name in tree.names:
        names = order(tree, name)
        assert len(names) == len(set(names))
        for at, file in enumerate(names):
            stem = file.split(".")[0].replace("-", "_")
            assert set(order(tree, stem)[:-1]) <= set(names[:at])


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("xfrm-type-2-50", ["esp4"]),
        ("xfrm-type-10-60", ["mip6"]),
        ("xfrm_type_10_60", []),  # an alias is not a module name: - and _ differ
        ("xfrm-algo", ["xfrm_algo"]),
        ("des-generic", ["des_generic"]),
        ("crypto-des", ["des_generic"]),
        ("pci:v000014E4d00001sv2sd3bc4sc5i6", ["b43"]),
        ("pci:v000014E5d00001sv2sd3bc4sc5i6", []),
        ("crypto-gone", []),
        ("aes", []),
        ("", []),
    ],
)
def test_names_and_aliases(tree: ModuleTree, name: str, found: list[str]) -> None:
    assert tree.matches(name) == found


def test_what_is_built_in_is_known(tree: ModuleTree) -> None:
    assert tree.builtin == {"aes"}


def test_nothing_to_load_is_told(tree: ModuleTree) -> None:
    assert tree.load("no-such-thing") is False


@pytest.mark.parametrize("below", [".", "lib/modules/7.2.7", "usr/lib/uml/modules/7.2.7", "7.2.7"])
def test_the_directory_is_found_from_what_people_give(tmp_path: Path, below: str) -> None:
    place = tmp_path / below
    place.mkdir(parents=True, exist_ok=True)
    (place / "modules.dep").touch()
    assert find_tree(tmp_path) == place


def test_the_release_asked_for_is_preferred(tmp_path: Path) -> None:
    for release in ("6.1", "7.2.7"):
        (tmp_path / release).mkdir()
        (tmp_path / release / "modules.dep").touch()
    assert find_tree(tmp_path, "7.2.7").name == "7.2.7"


def test_a_directory_without_modules_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"holds no modules\.dep"):
        find_tree(tmp_path)


def called(text: str, name: str) -> tuple[int, str]:
    run = subprocess.run(
        ["sh", "-c", text, "modprobe", "-q", "--", name],
        capture_output=True,
        check=False,
        text=True,
    )
    return run.returncode, run.stdout


@pytest.mark.parametrize(
    ("name", "matches"),
    [
        ("esp4", True),
        ("des-generic", True),
        ("xfrm-type-2-50", True),
        ("pci:v000014E4d00001sv2sd3bc4sc5i6", True),
        ("pci:v000014E5d00001sv2sd3bc4sc5i6", False),
        ("crypto-authenc(hmac(sha1),cbc(aes))", False),
        ("esp", False),
        ("esp44", False),
        ("$(id)", False),
    ],
)
def test_the_kernels_modprobe_starts_python_for_a_match_only(
    tree: ModuleTree, name: str, matches: bool
) -> None:
    text = script(tree.patterns, "printf %s")
    assert called(text, name) == ((0, name) if matches else (1, ""))


@given(st.lists(st.text("ab-_*?:.(), $`\"'\\&|;", min_size=1, max_size=6), max_size=5))
def test_no_pattern_breaks_the_kernels_modprobe(patterns: list[str]) -> None:
    assert called(script(patterns, "true"), "zzz")[0] in (0, 1)


def test_a_kernel_without_modules_has_a_modprobe_that_finds_none() -> None:
    assert called(script([], "true"), "esp4") == (1, "")
