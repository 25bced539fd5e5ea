#!/usr/bin/env bash
# Installs what is missing and builds the program: scripts/build.sh [--cuda] [PRESET [TARGET ...]]; the
# target `all` has the tests, too. The program is build/nnm then (build-PRESET/nnm for presets other
# than release). --cuda adds the plug-in for NVIDIA GPUs, which needs CUDA 13's nvcc and the headers of
# cuBLAS (the toolkit's, or of a wheel nvidia-cublas; NNM_CUBLAS_INCLUDE names their folder).
set -euo pipefail
cd "$(dirname "$0")/.."
cuda=
if [ "${1:-}" = --cuda ]; then
  cuda=1
  shift
fi
preset=${1:-release}
. scripts/packages.sh
need_packages build
build=build
[ "$preset" = release ] || build=build-$preset
options=()
if [ -n "$cuda" ]; then
  PATH=$PATH:${CUDA_HOME:-/usr/local/cuda}/bin
  command -v nvcc >/dev/null || {
    echo "no nvcc in the PATH: the plug-in for GPUs needs CUDA's toolkit" >&2
    exit 1
  }
  options=(-DNNM_CUDA=ON ${NNM_CUBLAS_INCLUDE:+-DNNM_CUBLAS_INCLUDE="$NNM_CUBLAS_INCLUDE"})
fi
if [ ! -f "$build/build.ninja" ] || [ ${#options[@]} -gt 0 ]; then
  cmake --preset "$preset" "${options[@]}" >/dev/null || {
    cmake --preset "$preset" "${options[@]}"  # once more, to show why
    exit 1
  }
fi
shift $(($# > 0))
[ $# -gt 0 ] || set -- nnm_cli ${cuda:+nnm_cuda}
cmake --build "$build" --target "$@"
