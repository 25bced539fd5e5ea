#!/usr/bin/env bash
# Installs what is missing and builds the program: scripts/build.sh [PRESET [TARGET ...]]; the target
# `all` has the tests, too. The program is build/nnm then (build-PRESET/nnm for presets other than
# release).
set -euo pipefail
cd "$(dirname "$0")/.."
preset=${1:-release}
. scripts/packages.sh
need_packages build
build=build
[ "$preset" = release ] || build=build-$preset
[ -f "$build/build.ninja" ] || cmake --preset "$preset" >/dev/null || {
  cmake --preset "$preset"  # once more, to show why
  exit 1
}
shift $(($# > 0))
[ $# -gt 0 ] || set -- nnm_cli
cmake --build "$build" --target "$@"
