#!/usr/bin/env bash
# Installs what is missing, builds, and runs every check: lint, unit tests, the program's transcripts,
# faults (kills, damaged files, full disks, failing system calls). scripts/test.sh [--full]: --full
# adds the sanitizers and long campaigns of faults. Goes on after a failure; the last line counts all.
#
# The plug-in for GPUs is built and checked where nvcc and the headers of cuBLAS are (scripts/build.sh
# says where they are looked for): for one architecture, with --full or a GPU for all of them.
#
# Faults take about a minute; with --full, on two cores, about 10 minutes for 1,000 kills, 25 for every
# bit of a checkpoint and every 61st of a trace, 5 for every system call.
set -uo pipefail
cd "$(dirname "$0")/.."
full=
for argument; do
  case $argument in
    --full) full=1 ;;
    -h | --help) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' scripts/test.sh; exit 0 ;;
    *) echo "usage: scripts/test.sh [--full]" >&2; exit 2 ;;
  esac
done
. scripts/packages.sh
need_packages build test || exit 1
need_packages lint || true
. scripts/cuda_toolkit.sh
cuda=--cuda-test
[ -z "$full" ] && [ ! -e /dev/nvidia0 ] && ! grep -qs '^NNM_CUDA:[A-Z]*=ON$' build/CMakeCache.txt || cuda=--cuda
no_cuda=$(find_cuda 2>&1) || cuda=
scripts/build.sh $cuda release all || exit 1

log=$(mktemp)
trap 'rm -f "$log"' EXIT
passed=0 failed=0 skipped=0

# part NAME COMMAND...: runs it and adds up what it counts; one that counts nothing is one check.
part() {
  local name=$1 start=$SECONDS status=0 line p=0 f=0 s=0
  shift
  printf '\n== %s: %s\n' "$name" "$*"
  "$@" 2>&1 | tee "$log" || status=1
  line=$(sed 's/\x1b\[[0-9;]*m//g' "$log" | grep -oE '[0-9]+ passed.* [0-9]+ failed.* [0-9]+ skipped' | tail -n 1)
  if [ -n "$line" ]; then
    read -r p f s < <(grep -oE '[0-9]+ (passed|failed|skipped)' <<<"$line" | cut -d' ' -f1 | xargs)
    # doctest does not know of cases that miss their data and leave.
    local dry=0
    case $line in *'|'*) dry=$(grep -c '^skipped: no data' "$log") ;; esac
    p=$((p - dry)) s=$((s + dry))
  fi
  [ -n "$line" ] || [ $status = 1 ] || p=1
  [ $status = 0 ] || [ "$f" -gt 0 ] || f=1
  passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
  printf '== %s: %d passed, %d failed, %d skipped in %d s\n' "$name" "$p" "$f" "$s" $((SECONDS - start))
}

# faults KILLS FLIPS STEP SHARE: the scripts of tests/faults; that many kills and damaged files, every
# STEPth bit of small files, every SHAREth system call.
faults() {
  part 'disk full' python3 tests/faults/disk.py
  part 'a clock that jumps' python3 tests/faults/clock.py
  part kills python3 tests/faults/kill.py --kills "$1"
  part 'flipped bits' python3 tests/faults/flip.py --flips "$2" --step "$3"
  part 'failing calls' python3 tests/faults/calls.py --share "$4"
}

part lint scripts/lint.sh --tidy
part 'unit tests' build/nnm_tests
part transcripts python3 tests/cli/run.py
if [ -n "$cuda" ]; then
  part 'plug-in for GPUs' python3 tests/cuda/plugin.py
  part 'its kernels' python3 scripts/cuda_usage.py
else
  part 'plug-in for GPUs' echo "0 passed, 0 failed, 1 skipped: $no_cuda"
fi
if [ -n "$full" ]; then
  faults 1000 1000 1 1
  export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
  export LSAN_OPTIONS=suppressions="$PWD/tests/support/leaks.supp"
  scripts/build.sh asan all || exit 1
  part 'unit tests under ASan and UBSan' build-asan/nnm_tests
  # Leaks are looked for above: at the end of a program whose plug-ins have threads the leak checker
  # itself crashes. Training takes ten times as long.
  part 'transcripts under ASan and UBSan' env NNM_BUILD="$PWD/build-asan" NNM_TEST_TIMEOUT=3000 \
    ASAN_OPTIONS=detect_leaks=0 python3 tests/cli/run.py
  scripts/build.sh tsan all || exit 1
  part 'unit tests under TSan' env OMP_NUM_THREADS=1 \
    TSAN_OPTIONS=suppressions="$PWD/tests/support/threads.supp" build-tsan/nnm_tests
else
  faults 8 60 499 11
fi

printf '\n%d passed, %d failed, %d skipped\n' $passed $failed $skipped
[ $failed = 0 ]
