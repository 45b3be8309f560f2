# Sourced by the scripts here: goes to the repository's root and makes .venv there, with everything
# that vidda needs, or does nothing when it is up to date. PYTHON=python3.12 chooses the interpreter.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

_fail() {
    echo "error: $*" >&2
    exit 1
}

_version() {
    "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null
}

_check_python() {
    local version
    version=$(_version "$1") ||
        _fail "$1 does not run; install Python 3.11 or newer (Debian: apt install python3 python3-venv)"
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        _fail "$1 is Python $version; vidda needs 3.11 or newer, for instance: PYTHON=python3.12 bash $0"
    "$1" -c 'import ensurepip, venv' 2>/dev/null ||
        _fail "$1 cannot make environments; on Debian: apt install python$version-venv"
}

# Whether .venv can be used or mended, rather than made anew.
_sound() {
    # An installer that was killed may have left packages that only look installed.
    [ ! -e .venv/installing ] && [ -n "$(_version .venv/bin/python)" ] &&
        { [ -z "${PYTHON:-}" ] || [ "$(_version "$PYTHON")" = "$(_version .venv/bin/python)" ]; }
}

_install() {
    local pip=".venv/bin/python -m pip --disable-pip-version-check install --constraint constraints.txt"
    echo "installing into .venv: about 6 GB on disk, some minutes"
    mkdir -p .venv
    touch .venv/installing
    [ -x .venv/bin/python ] || "$1" -m venv .venv
    if ! { $pip --use-pep517 --editable '.[pose,test]' &&
        # Their own requirements cannot be resolved (one of them does not build any more); those
        # that running a model needs are vidda's extra "pose".
        $pip --no-deps mmengine mmcv-lite mmpose; }; then
        rm .venv/installing # pip has tidied up after itself: the next try goes on from here
        _fail "the installation did not succeed; the lines above say why. Run this script again"
    fi
    echo "$2" >.venv/stamp
    rm .venv/installing
}

_set_up() {
    local python=${PYTHON:-python3} stamp
    stamp=$(cat pyproject.toml constraints.txt tools/venv.sh <(pwd) | sha256sum)
    if _sound && [ "$(cat .venv/stamp 2>/dev/null)" = "$stamp" ]; then
        return
    fi
    _check_python "$python"
    _sound || rm -rf .venv
    _install "$python" "$stamp"
}

_set_up
