#!/usr/bin/env bash
# Collects what a build of nnm needs on another machine with an NVIDIA GPU: scripts/cuda_bundle.sh
# [BUILD [FOLDER]], by default build and build/bundle. FOLDER/nnm is the program; beside it lie the
# library, the CUDA plug-ins that were built and the distribution's shared libraries but for those of
# the compiler and libc, which have to be as new there. cuBLASLt and the driver are the other
# machine's; the oneDNN plug-in stays behind: without it the CPU's own kernels serve.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build}
folder=${2:-$build/bundle}
rm -rf "$folder"
mkdir -p "$folder/lib"

cp -L "$build/nnm" "$build/libnnm.so.0" "$folder/lib/"
plugins=()
for plugin in "$build"/libnnm_cuda*.so; do
  [ -e "$plugin" ] && plugins+=("$plugin")
done
[ ${#plugins[@]} -gt 0 ] || {
  echo "no CUDA plug-in in $build: scripts/build.sh --cuda builds it" >&2
  exit 1
}
cp -L "${plugins[@]}" "$folder/lib/"

for file in "$folder"/lib/*; do LD_LIBRARY_PATH="$build" ldd "$file"; done |
  awk '$2 == "=>" && $3 ~ /^\// {print $3}' | sort -u |
  grep -vE '/(ld-linux.*|lib(c|m|dl|rt|pthread|resolv|stdc\+\+|gcc_s|nnm))\.so' |
  while read -r library; do cp -L "$library" "$folder/lib/"; done
# It is loaded by name when a kernel first wants threads.
gomp=$(ldconfig -p | awk '$1 == "libgomp.so.1" {print $NF; exit}')
[ -z "$gomp" ] || cp -L "$gomp" "$folder/lib/"
strip --strip-unneeded "$folder"/lib/* 2>/dev/null || true

cat >"$folder/nnm" <<'END'
#!/bin/sh
# nnm with the libraries beside it.
here=$(dirname "$(readlink -f "$0")")
LD_LIBRARY_PATH="$here/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" exec "$here/lib/nnm" "$@"
END
chmod +x "$folder/nnm"
"$folder/nnm" version
du -sh "$folder"
