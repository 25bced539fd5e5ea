# Sourced by the scripts beside it: installs the distribution's packages that are missing.
# need_packages GROUP...: `build`, `test`, `fuzz`, `lint`. Does nothing, and needs no network, once all are there.

packages_of() {
  case $1 in
    build) echo g++ cmake ninja-build libyaml-cpp-dev libcli11-dev libhdf5-dev libfmt-dev \
      libdnnl-dev libssl-dev zlib1g-dev libpng-dev libjpeg-dev doctest-dev ;;
    test) echo python3 python3-numpy python3-h5py python3-jsonschema python3-yaml git ;;
    # Formatting is the business of one version, so that it does not move with the distribution.
    fuzz) echo libfuzzer-14-dev ;;
    lint) echo clang-format-14 clang-tidy-14 ;;
    *) echo "unknown group of packages: $1" >&2; return 2 ;;
  esac
}

is_installed() {
  [ "$(dpkg-query -W -f='${db:Status-Abbrev}' "$1" 2>/dev/null | cut -c1-2)" = ii ]
}

need_packages() {
  local group name missing=() as_root=()
  if ! command -v dpkg-query >/dev/null; then
    echo "this is not Debian or a relative of it: install what README.md lists, then run scripts/build.sh" >&2
    return 0
  fi
  for group; do
    for name in $(packages_of "$group"); do
      is_installed "$name" || missing+=("$name")
    done
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  if [ "$(id -u)" != 0 ]; then
    if ! command -v sudo >/dev/null; then
      echo "packages are missing, and this account may not install them; as root, once:" >&2
      echo "  apt-get update && apt-get install ${missing[*]}" >&2
      return 1
    fi
    as_root=(sudo)
  fi
  # A package that this release of the distribution lacks must neither keep the others away nor ask
  # for the net at every run.
  compgen -G '/var/lib/apt/lists/*_Packages*' >/dev/null || "${as_root[@]}" apt-get update -qq >&2 || true
  local known=()
  for name in "${missing[@]}"; do
    if apt-cache show "$name" >/dev/null 2>&1; then known+=("$name"); else
      echo "not in this distribution, going on without it: $name" >&2
    fi
  done
  [ ${#known[@]} -gt 0 ] || return 0
  echo "installing: ${known[*]}" >&2
  "${as_root[@]}" apt-get update -qq >&2 || true
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${known[@]}" >&2
}
