#!/usr/bin/env bash
# Remakes the template of the result page from tools/viewer, byte for byte: bash tools/build_viewer.sh [FILE]
# Takes Node.js 20 or later with npm; fetches three.js and esbuild in the versions of tools/viewer/package-lock.json.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
out="${1:-$here/../sparse_convonet/report/viewer/page.html}"
(cd "$here/viewer" && npm ci --ignore-scripts --no-audit --no-fund >&2)
node "$here/viewer/build.mjs" "$out"
