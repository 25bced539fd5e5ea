#!/usr/bin/env bash
# Fuzzes everything that reads bytes of others: scripts/fuzz.sh [MINUTES [TARGET ...]], 30 minutes for
# each target of tests/fuzz/targets.cpp where nothing else is said. A find is a crash, an error of the
# wrong kind, what takes over 5 s or over 2 GiB; it lies in build-fuzz/finds then. Inputs that reach
# new code gather in build-fuzz/corpus. Ends with 1 where something was found.
set -euo pipefail
cd "$(dirname "$0")/.."
case ${1:-30} in
  -h | --help) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' scripts/fuzz.sh; exit 0 ;;
  *[!0-9]*) echo "usage: scripts/fuzz.sh [MINUTES [TARGET ...]]" >&2; exit 2 ;;
esac
minutes=${1:-30}
shift $(($# > 0))
. scripts/packages.sh
need_packages fuzz
scripts/build.sh fuzz nnm_fuzz
[ $# -gt 0 ] || set -- $(NNM_FUZZ_TARGET='' build-fuzz/nnm_fuzz 2>&1 | sed -n 's/^  //p')

# libFuzzer's leak check would stop at what libhdf5 keeps for good; a damaged size is refused before
# memory is asked for, but where the sanitizer is asked for too much, it must answer as malloc does.
export ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
passed=0 failed=0
for target; do
  corpus=build-fuzz/corpus/$target finds=build-fuzz/finds/$target log=build-fuzz/$target.log
  mkdir -p "$corpus" "$finds"
  before=$(find "$finds" -type f | wc -l)
  NNM_FUZZ_TARGET=$target build-fuzz/nnm_fuzz "$corpus" "tests/fuzz/corpus/$target" -fork=1 \
    -ignore_crashes=1 -ignore_ooms=1 -ignore_timeouts=1 -max_total_time=$((minutes * 60)) \
    -timeout=5 -rss_limit_mb=2048 -max_len=65536 -artifact_prefix="$finds/" >"$log" 2>&1 || true
  new=$(($(find "$finds" -type f | wc -l) - before))
  printf '%-12s %s, %d new in %s\n' "$target" "$(grep -oE '^#[0-9]+: cov: [0-9]+ ft: [0-9]+ corp: [0-9]+' "$log" | tail -n 1)" "$new" "$finds"
  if [ "$new" = 0 ] && grep -qE '^#[0-9]+: cov' "$log"; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
done
printf '%d passed, %d failed, 0 skipped\n' $passed $failed
[ $failed = 0 ]
