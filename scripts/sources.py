"""The C++ files of the repository, for the checks beside this file."""

import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDERS = ("kernels", "lib", "cli", "tests", "bench", "examples")
ENDINGS = (".h", ".cpp", ".def", ".cu", ".cuh")


def cpp_files():
    """Paths relative to the root: what git tracks, or all files where there is no git."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    except (OSError, subprocess.CalledProcessError):
        listed = [str(p.relative_to(ROOT)) for f in FOLDERS for p in (ROOT / f).rglob("*")]
    return sorted(
        path for path in listed
        if path.endswith(ENDINGS) and path.split("/")[0] in FOLDERS and (ROOT / path).is_file())
