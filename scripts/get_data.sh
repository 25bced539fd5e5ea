#!/usr/bin/env bash
# Puts a data set into configs/data/NAME, beside the configs: get_data.sh mnist|tinyshakespeare [NAME ...].
# Files come from $NNM_DATA_DIR/NAME if it is set, else from the net (curl or wget). Every file is
# checked by the SHA-256 of its content, unpacked if it is gzipped, since mirrors pack differently;
# files that are there and whole are left alone.
set -euo pipefail
case ${1:-} in
  -h | --help) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0"; exit 0 ;;
esac
case ${NNM_DATA_DIR:-/} in
  /*) ;;
  *) NNM_DATA_DIR=$PWD/$NNM_DATA_DIR ;;
esac
cd "$(dirname "$0")/.."

die() {
  echo "get_data: $*" >&2
  exit 1
}

# Lines of: SHA-256, file, mirrors' URLs.
files_of() {
  local mirrors="https://ossci-datasets.s3.amazonaws.com/mnist https://storage.googleapis.com/cvdf-datasets/mnist"
  case $1 in
    mnist)
      while read -r sum file; do
        printf '%s %s' "$sum" "$file"
        for m in $mirrors; do printf ' %s/%s' "$m" "$file"; done
        echo
      done <<'LIST'
ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db train-images-idx3-ubyte.gz
65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5 train-labels-idx1-ubyte.gz
0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7 t10k-images-idx3-ubyte.gz
ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2 t10k-labels-idx1-ubyte.gz
LIST
      ;;
    tinyshakespeare)
      echo "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed input.txt" \
        "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
      ;;
    *) die "unknown data set '$1'; there are mnist and tinyshakespeare" ;;
  esac
}

sha256() {
  if command -v sha256sum >/dev/null; then
    sha256sum
  elif command -v shasum >/dev/null; then
    shasum -a 256
  else
    die "neither sha256sum nor shasum is installed"
  fi | cut -d' ' -f1
}

# whole FILE NAME SUM: the file has the content that NAME should have.
whole() {
  local sum
  case $2 in
    *.gz) sum=$(gzip -dc "$1" 2>/dev/null | sha256) || return 1 ;;
    *) sum=$(sha256 <"$1") || return 1 ;;
  esac
  [ "$sum" = "$3" ]
}

download() {
  if command -v curl >/dev/null; then
    curl -fsSL --proto '=https' --connect-timeout 20 --retry 2 -o "$2" "$1"
  elif command -v wget >/dev/null; then
    wget -q --https-only --timeout=20 --tries=3 -O "$2" "$1"
  else
    die "neither curl nor wget is there; install one (apt-get install curl ca-certificates), or put" \
      "the files into a folder and set NNM_DATA_DIR"
  fi
}

part=
trap 'rm -f "$part"' EXIT

# fetch NAME SUM FILE URL...
fetch() {
  local name=$1 sum=$2 file=$3 target="configs/data/$1/$3" url
  shift 3
  if [ -f "$target" ] && whole "$target" "$file" "$sum"; then return; fi
  part="$target.$$.part"
  if [ -n "${NNM_DATA_DIR:-}" ]; then
    local given="$NNM_DATA_DIR/$name/$file"
    [ -f "$given" ] || die "$given does not exist"
    cp "$given" "$part"
    whole "$part" "$file" "$sum" || die "$given is damaged: its checksum differs"
    mv "$part" "$target"
    return
  fi
  for url in "$@"; do
    echo "get_data: $url" >&2
    if download "$url" "$part" && whole "$part" "$file" "$sum"; then
      mv "$part" "$target"
      return
    fi
    echo "get_data: no luck there: not reachable, or not the file" >&2
  done
  die "cannot get $file; set NNM_DATA_DIR to a folder that has $name/$file"
}

[ $# -gt 0 ] || die "which data set? mnist or tinyshakespeare"
for name in "$@"; do
  list=$(files_of "$name")
  mkdir -p "configs/data/$name"
  while read -r sum file urls; do
    # shellcheck disable=SC2086
    fetch "$name" "$sum" "$file" $urls
  done <<<"$list"
  echo "configs/data/$name"
done
