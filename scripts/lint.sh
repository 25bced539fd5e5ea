#!/usr/bin/env bash
# Checks floors and sizes of the sources, what code for GPUs refers to, and formatting; lint.sh --tidy
# adds what clang-tidy finds. Needs python3; clang-format 14 and, in a built tree, clang-tidy 14 are used if they are there.
set -u
cd "$(dirname "$0")/.." || exit 2
case ${1:-} in
  '' | --tidy) ;;
  -h | --help) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' scripts/lint.sh; exit 0 ;;
  *) echo "usage: scripts/lint.sh [--tidy]" >&2; exit 2 ;;
esac

if ! command -v python3 >/dev/null; then
  echo "lint: python3 is missing" >&2
  exit 2
fi

status=0
python3 scripts/check_floors.py || status=1
python3 scripts/check_size.py || status=1
python3 scripts/check_device.py || status=1

formatter=$(command -v clang-format-14 || command -v clang-format || true)
if [ -z "$formatter" ] || ! "$formatter" --version | grep -q 'version 14\.'; then
  echo "lint: clang-format 14 is missing, formatting is not checked" >&2
else
  python3 -c 'import sys; sys.path.insert(0, "scripts"); import sources
print("\0".join(p for p in sources.cpp_files() if not p.endswith(".def")), end="")' |
    xargs -0 "$formatter" --dry-run --Werror 2>&1 | grep 'error:' | cut -d: -f1 | sort | uniq -c |
    awk '{print $2 ": " $1 " places are not as clang-format has them"; bad = 1} END {exit bad}' ||
    status=1
fi

[ "${1:-}" = --tidy ] || exit $status
tidy=$(command -v clang-tidy-14 || command -v clang-tidy || true)
if [ -z "$tidy" ] || ! "$tidy" --version | grep -q 'version 14\.'; then
  echo "lint: clang-tidy 14 is missing, its checks are left out" >&2
elif [ ! -f build/compile_commands.json ]; then
  echo "lint: nothing is built yet, clang-tidy's checks are left out" >&2
else
  python3 scripts/check_tidy.py "$tidy" || status=1
fi

exit $status
