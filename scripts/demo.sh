#!/usr/bin/env bash
# Installs what is missing, builds, and shows the product on an embedded data set. Every command is
# printed before it runs, so that it can be repeated by hand. What is trained lies in runs/digits/demo.
set -euo pipefail
case ${1:-} in
  '') ;;
  -h | --help) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0"; exit 0 ;;
  *) echo "usage: scripts/demo.sh" >&2; exit 2 ;;
esac
cd "$(dirname "$0")/.."
scripts/build.sh >&2
PATH="$PWD/build:$PATH"
config=configs/digits.yaml
folder=runs/digits/demo

run() {
  printf '\n$ %s\n' "$*"
  "$@"
}

run nnm check "$config"
run nnm summary "$config"
run nnm train "$config" --run "$folder" --force
run nnm eval "$folder" --split test --assert 'acc >= 0.97'
run nnm inspect "$folder"
run nnm trace "$folder" --hook forward -o "$folder/trace.h5"
run nnm inspect "$folder/trace.h5"

cat <<END

What lies where:
  $folder/checkpoints/last.h5   the trained network (h5py, h5ls and nnm inspect open it)
  $folder/trace.h5              what every module put out for one batch
  $folder/metrics.csv           loss and accuracy over the run
Next: edit $config, or look at the other files in configs/. README.md tells the rest. For your
shell to find nnm:

  export PATH="$PWD/build:\$PATH"
END
