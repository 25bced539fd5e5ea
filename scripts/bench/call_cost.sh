#!/usr/bin/env bash
# Builds and runs call_cost.cpp against the library in build/: scripts/bench/call_cost.sh [ROUNDS]
set -euo pipefail
cd "$(dirname "$0")/../.."
program=$(mktemp)
trap 'rm -f "$program"' EXIT
"${CXX:-c++}" -O3 -DNDEBUG -std=c++20 -I. -Ilib scripts/bench/call_cost.cpp -o "$program" \
  -Lbuild -lnnm -lfmt -Wl,-rpath,"$PWD/build"
"$program" "$@"
