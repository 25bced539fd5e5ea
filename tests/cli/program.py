"""What the tests in Python share: where the program is, and how it is run."""

import importlib.util
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("NNM_BUILD", ROOT / "build"))
TIMEOUT = float(os.environ.get("NNM_TEST_TIMEOUT", 300))  # seconds that no command may take
SANITIZED = re.search("^NNM_SANITIZE:STRING=.", (BUILD / "CMakeCache.txt").read_text(), re.M) is not None
CPU_SECONDS = 60 if SANITIZED else 5  # that hostile files may take

# The model and the data of tests about training; sizes of batches and the rest of it follow.
SMALL_NET = """nnm: 1
model:
  Sequential:
    fc1: Linear(4, 8)
    act: ReLU()
    fc2: Linear(8, 2)
data:
  train: {random: {x: "f32[60, 4]", y: "i64[60] < 2"}, seed: 0}
  val: {split: 0.2, seed: 0}
"""


DEBIAN_PYTHON = "/usr/bin/python3"  # the one to which the distribution's h5py belongs


def has_h5py():
    return all(importlib.util.find_spec(name) for name in ("h5py", "numpy"))


def need_h5py():
    """Goes on with the distribution's Python where this one has no h5py."""
    if has_h5py():
        return
    if os.environ.get("NNM_PYTHON_TRIED") or not os.path.exists(DEBIAN_PYTHON):
        print(f"{sys.argv[0]}: skipped: needs h5py and numpy")
        sys.exit(0)
    os.environ["NNM_PYTHON_TRIED"] = "1"
    os.execv(DEBIAN_PYTHON, [DEBIAN_PYTHON] + sys.argv)


def environment():
    # `python3` of a transcript is one with h5py, whatever another Python has put before it.
    python = sys.executable if has_h5py() else DEBIAN_PYTHON
    env = dict(os.environ, LC_ALL="C.UTF-8",
               PATH=f"{BUILD}:{os.path.dirname(python)}:{os.environ['PATH']}")
    # Numbers are compared to the last digit: those of the CPU, whatever the machine has.
    env["NNM_CUDA_PLUGIN"] = "none"
    env["CPU_SECONDS"] = str(CPU_SECONDS)
    for name in ("NO_COLOR", "CI", "NNM_DATA_DIR"):
        env.pop(name, None)
    return env


def read_terminal(terminal):
    """All that arrives at our end of a pseudo terminal, which is closed then."""
    seen = b""
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:
            break
        if not piece:
            break
        seen += piece
    os.close(terminal)
    return seen


def nnm(*words, cwd, **options):
    """Runs nnm to its end; gives the finished process, with text of both streams."""
    options = {"timeout": TIMEOUT, "stdin": subprocess.DEVNULL, **options}
    return subprocess.run(["nnm", *map(str, words)], cwd=cwd, env=environment(), text=True,
                          capture_output=True, errors="replace", **options)
