#!/usr/bin/env bash
# All that a machine with an NVIDIA GPU can show, in one go: scripts/gpu.sh [OPTION ...] [NNM [OUT]].
# NNM is the program, by default that of scripts/cuda_bundle.sh, else build/nnm. OUT (gpu/) gets
#   doctor.txt    driver, GPUs, libraries
#   selftest.tsv  every kernel against the CPU's; selftest.graphs.tsv, launched in CUDA graphs
#   same.txt      networks trained twice, with graphs and without, and a run that goes on: bit for bit
#   bench.tsv     scripts/bench/cuda_bench.py, with the Python that has PyTorch ($PYTHON, python3)
# Goes on after a failure; the exit code is 1 where something failed. Options are those of
# cuda_bench.py, such as `--only B1 B6 --modes eager graph --rounds 3 --`. With --tiny all of it runs at
# small sizes on the emulated GPU of a build with tests, to show that it works.
set -uo pipefail
cd "$(dirname "$0")/.."
options=() tiny=
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' scripts/gpu.sh; exit 0 ;;
    --) shift; break ;;
    --tiny) tiny=1; options+=("$1"); shift ;;
    --*) options+=("$1"); shift; while [ $# -gt 0 ] && [ "$1" != -- ] && [ "${1#--}" = "$1" ]; do options+=("$1"); shift; done ;;
    *) break ;;
  esac
done
nnm=${1:-build/bundle/nnm} out=${2:-gpu}
[ -n "${1:-}" ] || [ -x "$nnm" ] || nnm=build/nnm
[ -x "$nnm" ] || { echo "scripts/gpu.sh: no program $nnm; scripts/build.sh --cuda builds it" >&2; exit 2; }
nnm=$(realpath "$nnm")
mkdir -p "$out"
failed=0
if [ -n "$tiny" ]; then
  NNM_CUDA_PLUGIN=${NNM_CUDA_PLUGIN:-$(dirname "$nnm")/libnnm_cuda_emulated.so}
  export NNM_CUDA_PLUGIN
fi

# step NAME COMMAND...
step() {
  local name=$1 start=$SECONDS
  shift
  if "$@"; then echo "ok      $name ($((SECONDS - start)) s)"; else
    echo "FAILED  $name ($((SECONDS - start)) s): $*"
    failed=1
  fi
}

# same NAME CONFIG STEPS SET...: trained with graphs and without.
same() {
  local name=$1 config=$2 steps=$3 graphs sets=()
  shift 3
  for s; do sets+=(--set "$s"); done
  for graphs in 0 1; do
    NNM_CUDA_GRAPHS=$graphs "$nnm" train "$config" --run "$runs/$name.$graphs" --device cuda --max "$steps steps" -q \
      "${sets[@]}" >/dev/null || return 1
  done
  echo "$name: $("$nnm" diff "$runs/$name.0" "$runs/$name.1")" >>"$out/same.txt"
  cmp "$runs/$name.0/metrics.csv" "$runs/$name.1/metrics.csv" && "$nnm" diff "$runs/$name.0" "$runs/$name.1" >/dev/null
}

resumed() {
  NNM_CUDA_GRAPHS=1 "$nnm" train configs/digits.yaml --run "$runs/resumed" --device cuda --max "$1 steps" \
    --verify-resume -q "${few[@]}" >>"$out/same.txt"
}

runs=$(mktemp -d)
trap 'rm -rf "$runs"' EXIT
: >"$out/same.txt"
steps=200 few=() kernels=()
if [ -n "$tiny" ]; then
  steps=8 few=(--set data.batch=8 --set 'vars.widths=[4,8]') kernels=(softmax fill)
fi
step doctor sh -c '"$1" doctor >"$2"' - "$nnm" "$out/doctor.txt"
grep -E '^cu' "$out/doctor.txt"
step selftest "$nnm" selftest "${kernels[@]}" --device cuda -o "$out/selftest.tsv"
step 'selftest in graphs' env NNM_CUDA_GRAPHS=1 "$nnm" selftest "${kernels[@]}" --device cuda -o "$out/selftest.graphs.tsv"
if [ -n "$tiny" ]; then
  step 'same: small' same small tests/cli/tiny.yaml 24 train.accumulate=2
else
  step 'same: MLP' same mlp scripts/bench/mlp512.yaml $steps
  step 'same: CNN' same cnn scripts/bench/cnn.yaml $steps data.batch=128
  step 'same: GPT, clipped' same gpt scripts/bench/gpt.yaml $steps 'train.clip=norm(1.0)' vars.p=0.1
  step 'same: GPT, bf16, accumulated' same bf16 scripts/bench/gpt.yaml $steps train.precision=bf16 train.accumulate=4
  step 'same: LSTM' same lstm scripts/bench/lstm.yaml $steps
  step 'same: digits, averaged' same digits configs/digits.yaml $steps train.ema=0.99
fi
step 'goes on bit for bit' resumed $((steps / 2))
step benchmarks "${PYTHON:-python3}" scripts/bench/cuda_bench.py --nnm "$nnm" --out "$out/bench.tsv" "${options[@]}"
exit $failed
