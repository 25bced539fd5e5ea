#!/usr/bin/env bash
# Installs what is missing and builds the program: scripts/build.sh [--cuda] [PRESET [TARGET ...]]; the
# target `all` has the tests, too. The program is build/nnm then (build-PRESET/nnm for presets other
# than release). --cuda adds the plug-in for NVIDIA GPUs, libnnm_cuda.so beside the program, which needs
# nvcc (CUDA 12 or newer, of CUDA_HOME, the PATH or /usr/local/cuda) and the headers of cuBLAS (the
# toolkit's, the system's or a wheel's; NNM_CUBLAS_ROOT names the folder of Python packages or another
# one that has them); where one is missing it says so and ends with exit code 2. --cuda-test instead
# builds the plug-in for one architecture, into build/cuda-test/, as its tests ask for.
set -euo pipefail
cd "$(dirname "$0")/.."
cuda=
case ${1:-} in
  -h | --help) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' scripts/build.sh; exit 0 ;;
  --cuda) cuda=ON; shift ;;
  --cuda-test) cuda=TEST; shift ;;
esac
. scripts/cuda_toolkit.sh
options=()
if [ -n "$cuda" ]; then
  find_cuda || exit 2
  export CUDACXX=$nvcc
  options=(-DNNM_CUDA="$cuda" -DNNM_CUBLAS_INCLUDE="$cublas_include")
fi
preset=${1:-release}
case $preset in
  -*) echo "scripts/build.sh: unknown option $preset (--help tells what there is)" >&2; exit 2 ;;
esac
. scripts/packages.sh
need_packages build
build=build
[ "$preset" = release ] || build=build-$preset
if [ ! -f "$build/build.ninja" ] || [ ${#options[@]} -gt 0 ]; then
  cmake --preset "$preset" "${options[@]}" >/dev/null || {
    cmake --preset "$preset" "${options[@]}"  # once more, to show why
    exit 1
  }
fi
shift $(($# > 0))
[ $# -gt 0 ] || set -- nnm_cli ${cuda:+nnm_cuda}
cmake --build "$build" --target "$@"
