#!/usr/bin/env bash
# A pipeline for a repository of networks, to copy and cut to size: it needs nothing but nnm and a
# shell, and every step is told by its exit code.
#
#   scripts/ci_example.sh CONFIG [OUT]
#
# Checks the config, runs its tests, trains it for a moment, evaluates it, verifies what was written,
# and compares it with a second run that must be the same. What machines read is left in OUT (ci/):
# check.sarif, junit.xml, train.json, eval.json, run/events.jsonl, run/metrics.csv. NNM_ACCURACY is the
# least accuracy that passes (0.5), NNM_MAX how long to train ('2 epochs'), NNM_TIME_LIMIT how long a job
# may take ('50 min').
set -euo pipefail
[ $# -ge 1 ] || { echo "usage: $0 CONFIG [OUT]" >&2; exit 2; }
command -v nnm >/dev/null || { echo "$0: nnm is not in the PATH" >&2; exit 2; }
config=$1 out=${2:-ci} accuracy=${NNM_ACCURACY:-0.5} max=${NNM_MAX:-2 epochs}
mkdir -p "$out"

# step NAME FILE COMMAND...: the command's result goes into OUT/FILE. Says what went wrong, and ends the
# pipeline with the command's exit code.
step() {
  local name=$1 file=$out/$2 code=0
  shift 2
  "$@" > "$file" || code=$?
  case $code in
    0) echo "ok    $name"; return ;;
    1) echo "FAIL  $name: a negative result" ;;
    2) echo "FAIL  $name: the config or the command line" ;;
    3) echo "FAIL  $name: an input file" ;;
    4) echo "FAIL  $name: something could not be written" ;;
    5) echo "FAIL  $name: the training diverged" ;;
    6) echo "FAIL  $name: device or memory" ;;
    75) echo "LATER $name: out of time; run it again" ;;
    *) echo "FAIL  $name: exit code $code" ;;
  esac
  exit $code
}

# train RUN: goes on where a run of before ran out of its time, so that a job can be queued again.
train() {
  nnm train "$config" --run "$out/$1" --resume --max "$max" --time-limit "${NNM_TIME_LIMIT:-50 min}" \
    --format json --progress plain
}

step check check.sarif nnm check "$config" --diagnostics sarif
if nnm config "$config" | grep '^tests:' >/dev/null; then
  step tests tests.txt nnm test "$config" --junit "$out/junit.xml"
else
  echo "--    tests: the config has none"
fi
step train train.json train run
step eval eval.json nnm eval "$out/run" --format json --assert "acc >= $accuracy"
step verify verify.txt nnm verify "$out/run"
step 'train again' twin.json train twin
step 'same twice' diff.txt nnm diff "$out/run" "$out/twin"
