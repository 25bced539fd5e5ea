# Sourced by the scripts beside it: where CUDA's compiler and the headers of cuBLAS are.
#
# find_cuda sets nvcc and cublas_include, or says on stderr what is missing and returns 1. nvcc is that
# of CUDA_HOME, or of the PATH, or /usr/local/cuda's. cublasLt.h is looked for below NNM_CUBLAS_ROOT,
# which may be a folder with Python packages or one of them, or the prefix of a toolkit; where that is
# not set, in nvcc's toolkit, in the system's folders and in the wheels of the PATH's python3.

cuda_missing() {
  printf '%s\n' "$@" >&2
  return 1
}

# find_nvcc: sets nvcc.
find_nvcc() {
  local home=${CUDA_HOME:-} version
  if [ -n "$home" ]; then
    nvcc=$home/bin/nvcc
    [ -x "$nvcc" ] || { cuda_missing "no nvcc in CUDA_HOME: $nvcc is not there"; return 1; }
  else
    nvcc=$(command -v nvcc || command -v /usr/local/cuda/bin/nvcc) ||
      { cuda_missing "no nvcc in the PATH or in /usr/local/cuda/bin, and CUDA_HOME names no toolkit"; return 1; }
  fi
  version=$("$nvcc" --version | sed -n 's/.*release \([0-9]*\.[0-9]*\).*/\1/p')
  [ "${version%%.*}" -ge 12 ] 2>/dev/null || cuda_missing "nvcc is too old: $nvcc is of CUDA ${version:-?}, 12 is needed"
}

# cublas_folders: where cublasLt.h may be, a folder a line.
cublas_folders() {
  local root=${NNM_CUBLAS_ROOT:-} toolkit site
  if [ -n "$root" ]; then
    printf '%s\n' "$root/include" "$root"/*/include "$root"/*/*/include "$root"/lib/python3*/site-packages/nvidia/*/include
    return
  fi
  # nvcc may be a link or a script; it knows best where it lives.
  toolkit=$("$nvcc" --dryrun -E -x cu /dev/null 2>&1 | sed -n 's/^#\$ TOP=//p')
  printf '%s\n' "$toolkit/include" "$toolkit"/targets/*/include /usr/include
  site=$(python3 -c 'import sysconfig; print(sysconfig.get_path("purelib"))' 2>/dev/null) || return 0
  printf '%s\n' "$site"/nvidia/*/include
}

find_cuda() {
  local folder version old=
  find_nvcc || return 1
  while read -r folder; do
    [ -f "$folder/cublasLt.h" ] || continue
    version=$(sed -n 's/^#define CUBLAS_VER_MAJOR *//p' "$folder/cublas_api.h" 2>/dev/null)
    if [ "${version:-0}" -ge 12 ]; then
      cublas_include=$folder
      return 0
    fi
    old=" ($folder is of cuBLAS ${version:-?}, 12 is needed)"
  done < <(cublas_folders)
  local where="in nvcc's toolkit, in /usr/include or among python3's packages; NNM_CUBLAS_ROOT names another folder"
  [ -z "${NNM_CUBLAS_ROOT:-}" ] || where="below NNM_CUBLAS_ROOT=$NNM_CUBLAS_ROOT"
  cuda_missing "no headers of cuBLAS: cublasLt.h is not $where$old"
}
