#!/bin/sh
# Make .venv with pyxfrm and its development extras, on a machine that has python3 and little else.
#
# Debian splits ensurepip and pip away from python3. Where they are missing and we are not root,
# the pip wheel is taken from Debian's own package with `apt-get download`, which needs no privileges.
set -eu
cd "$(dirname "$0")/.."

PYTHON=${PYTHON:-python3}
say() { printf '%s\n' "pyxfrm: $*" >&2; }

"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || {
    say "needs Python 3.11 or newer as '$PYTHON' (set PYTHON=/path/to/python3)"
    exit 1
}

wheel_from_apt() {
    # A private copy of apt's state: works for any user and touches nothing of the machine's.
    mkdir -p "$1/lists/partial" "$1/cache/archives/partial"
    apt="apt-get -qq -o Dir::State::lists=$1/lists -o Dir::Cache=$1/cache -o APT::Sandbox::User=$(id -un)"
    $apt update >&2 && (cd "$1" && $apt download python3-pip-whl >&2) || return 1
    dpkg-deb -x "$1"/python3-pip-whl_*.deb "$1/x" || return 1
    ls "$1"/x/usr/share/python-wheels/pip-*.whl
}

if [ ! -x .venv/bin/python ] || ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    rm -rf .venv
    if ! "$PYTHON" -m venv .venv >/dev/null 2>&1; then
        rm -rf .venv
        "$PYTHON" -m venv --without-pip .venv
        tmp=$(mktemp -d)
        trap 'rm -rf "$tmp"' EXIT
        if "$PYTHON" -m pip --version >/dev/null 2>&1; then
            "$PYTHON" -m pip -q --python .venv/bin/python install pip
        elif whl=$(wheel_from_apt "$tmp"); then
            .venv/bin/python "$whl/pip" -q install "pip>=24"
        else
            say "found neither ensurepip nor pip, and apt could not provide one: install python3-venv"
            exit 1
        fi
    fi
fi

say "installing into .venv"
.venv/bin/python -m pip -q --disable-pip-version-check install -r requirements.lock
.venv/bin/python -m pip -q --disable-pip-version-check install --no-deps -e .
