#!/usr/bin/env bash
# Sets up everything the project needs: system packages (Debian, Ubuntu), a virtual environment with the exact
# versions of constraints.txt, and MinkowskiEngine.  What is there already is kept; a second call does nothing.
#
#   tools/setup.sh [--without-minkowski] [--retry-minkowski]
#
# VENV: the environment (default .venv in the repository).  PYTHON: the interpreter to make it from.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
venv=$(realpath -m "${VENV:-.venv}")
python="$venv/bin/python"
engine_version=0.5.4
engine_wanted=yes
engine_retry=no
for option in "$@"; do
    case $option in
        --without-minkowski) engine_wanted=no ;;
        --retry-minkowski) engine_retry=yes ;;
        *) echo "setup: unknown option $option; known: --without-minkowski, --retry-minkowski" >&2; exit 2 ;;
    esac
done

say() { echo "setup: $*"; }
fail() { echo "setup: $*" >&2; exit 1; }
# The line of a log that tells what went wrong: the compiler's first error, else the last error that names a cause.
reason() {
    local causes
    causes=$(grep -E '(error|Error|ERROR): ' "$1" | grep -vE 'ERROR: Failed|subprocess-exited|metadata-generation|ResolutionImpossible')
    { grep -m 1 -E '[0-9]: (fatal )?error: ' <<<"$causes" || tail -n 1 <<<"$causes"; } | sed 's/^ *//'
}

# One stamp per part, in the environment; it holds the hash of everything that decides what the part installs.
wanted_state=$(cat pyproject.toml constraints.txt tools/setup.sh <(echo "$root") | sha256sum | cut -d' ' -f1)
is_done() { [ "$(cat "$venv/.done-$1" 2>/dev/null)" = "$wanted_state" ]; }
mark_done() { echo "$wanted_state" >"$venv/.done-$1"; }

# Usage: install_system_packages WHAT_FOR PACKAGE...; returns 1 where some are missing and cannot be installed.
install_system_packages() {
    local what_for=$1 missing=() package
    shift
    command -v dpkg-query >/dev/null || { say "not Debian or Ubuntu: $what_for expects what these hold: $*"; return 0; }
    for package in "$@"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    if [ "$(id -u)" -ne 0 ]; then
        echo "setup: $what_for needs system packages: sudo apt-get install ${missing[*]}" >&2
        return 1
    fi
    say "installing system packages: ${missing[*]}"
    local output
    output=$({ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        "${missing[@]}"; } 2>&1) && return 0
    echo "setup: apt-get could not install ${missing[*]}: $(grep -E '^E: ' <<<"$output" | tail -n 1)" >&2
    return 1
}

# The first of PYTHON, python3 and the versioned names that is an interpreter of a supported version.
find_interpreter() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.10}; do
        if "$candidate" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    fail "no Python 3.10 to 3.13 among ${PYTHON:-python3, python3.10 ... python3.13}; name one: make setup PYTHON=/path/to/python"
}

make_environment() {
    "$python" -m pip --version >/dev/null 2>&1 && return
    local interpreter
    interpreter=$(find_interpreter)
    if ! "$interpreter" -c 'import ensurepip, venv' 2>/dev/null; then
        install_system_packages "a virtual environment" python3-venv || exit 1
        "$interpreter" -c 'import ensurepip, venv' 2>/dev/null ||
            fail "$interpreter has no venv module; install the package that holds it (python3-venv), or name another PYTHON"
    fi
    say "making the environment $venv with $("$interpreter" --version)"
    "$interpreter" -m venv "$venv"
}

# The constraints without torch, and without what torch pins in turn, where another torch is there already.
write_constraints() {
    "$python" - constraints.txt "$1" <<'EOF'
import re, sys
from importlib import metadata
def name_of(line): return re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0].lower().replace("_", "-")
lines = open(sys.argv[1], encoding="utf-8").read().splitlines()
try:
    found = metadata.version("torch")
except metadata.PackageNotFoundError:
    found = None
if found is not None and f"torch=={found.split('+')[0]}" not in lines:
    print(f"setup: keeping the torch {found} of this environment")
    own = {"torch", *(name_of(each) for each in metadata.requires("torch") or [])} - {"setuptools"}
    lines = [line for line in lines if name_of(line) not in own] + [f"torch=={found}"]
open(sys.argv[2], "w", encoding="utf-8").write("\n".join(lines) + "\n")
EOF
}

install_python_packages() {
    local log="$venv/install.log" constraints="$venv/constraints.txt"
    write_constraints "$constraints"
    say "installing the Python packages of constraints.txt (some minutes the first time; log: $log)"
    if ! { "$python" -m pip install -c "$constraints" setuptools wheel ninja &&
        "$python" -m pip install -c "$constraints" --no-build-isolation -e '.[las,e57,plan,texture,usd,data,cluster,dev,docs]'; } >"$log" 2>&1; then
        fail "pip failed: $(reason "$log") (log: $log)"
    fi
}

# MinkowskiEngine's Python files import from `collections` what moved to `collections.abc` in Python 3.10.
engine_works() {
    "$python" -W ignore -c 'import collections, collections.abc
collections.Sequence = collections.abc.Sequence
import MinkowskiEngine' >/dev/null 2>&1
}

# Builds MinkowskiEngine, or takes the wheel that an earlier clone built; the native engine serves without it.
install_engine() {
    local key cache log="$venv/minkowski.log" wheel building
    install_system_packages "MinkowskiEngine" libopenblas-dev || return 1
    engine_works && return 0
    key=$("$python" -c 'import platform, sys, torch
print(f"{sys.implementation.cache_tag}-torch{torch.__version__}-{platform.machine()}")')
    cache="${XDG_CACHE_HOME:-$HOME/.cache}/sparse_convonet/wheels/$key"
    wheel=$(find "$cache" -iname "minkowskiengine-$engine_version-*.whl" 2>/dev/null | head -n 1)
    if [ -z "$wheel" ]; then
        install_system_packages "building MinkowskiEngine" g++ || return 1
        if ! "$python" -c 'import pathlib, sys, sysconfig
sys.exit(not (pathlib.Path(sysconfig.get_paths()["include"]) / "Python.h").is_file())'; then
            install_system_packages "building MinkowskiEngine" python3-dev || return 1
        fi
        say "building MinkowskiEngine $engine_version from its source release: 5-7 minutes on two cores, once (log: $log)"
        mkdir -p "$cache"
        building=$(mktemp -d "$cache/building.XXXXXX")
        # Its setup.py calls `pip` and torch calls `ninja`, both by name.
        if ! PATH="$venv/bin:$PATH" "$python" -m pip wheel --use-pep517 --no-deps --no-build-isolation --no-binary MinkowskiEngine \
            --config-settings="--global-option=--blas=openblas" --wheel-dir "$building" \
            "MinkowskiEngine==$engine_version" >"$log" 2>&1; then
            rm -rf "$building"
            echo "setup: MinkowskiEngine did not build: $(reason "$log") (log: $log)" >&2
            return 1
        fi
        wheel="$cache/$(basename "$building"/*.whl)"
        mv "$building"/*.whl "$wheel"
        rmdir "$building"
    fi
    if ! "$python" -m pip install --no-deps --force-reinstall "$wheel" >>"$log" 2>&1 || ! engine_works; then
        echo "setup: MinkowskiEngine does not load; remove $wheel to build it anew (log: $log)" >&2
        return 1
    fi
}

if ! is_done packages; then
    rm -f "$venv"/.done-*
    install_system_packages "open3d" libusb-1.0-0 libgl1 libegl1 libgomp1 || exit 1
    make_environment
    install_python_packages
    mark_done packages
fi
if [ "$engine_wanted" = yes ] && { ! is_done minkowski || [ "$engine_retry" = yes ]; }; then
    install_engine || say "going on with the native engine; tools/setup.sh --retry-minkowski tries MinkowskiEngine again"
    mark_done minkowski
fi
