#!/usr/bin/env bash
# Installs what is missing, builds, and runs the checks: lint, unit tests, command-line tests.
# scripts/test.sh [--full]: --full adds the sanitizers and the long campaigns.
set -euo pipefail
cd "$(dirname "$0")/.."
full=
for argument; do
  case $argument in
    --full) full=1 ;;
    *) echo "usage: scripts/test.sh [--full]" >&2; exit 2 ;;
  esac
done
. scripts/packages.sh
need_packages build test lint
scripts/build.sh
scripts/lint.sh
build/nnm_tests
python3 tests/cli/run.py
kills=5 flips=60
[ -z "$full" ] || { kills=100 flips=3000; }
python3 tests/faults/disk.py
python3 tests/faults/kill.py --kills $kills
python3 tests/faults/flip.py --flips $flips
if [ -n "$full" ]; then
  scripts/build.sh asan
  ASAN_OPTIONS=detect_leaks=0 build-asan/nnm_tests
  scripts/build.sh tsan
  OMP_NUM_THREADS=1 build-tsan/nnm_tests
fi
