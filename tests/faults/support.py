"""What the fault tests share: the program, a small run, and comparisons of what runs leave behind."""

import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "cli"))
from program import BUILD, environment, need_h5py, nnm  # noqa: E402, F401

need_h5py()
import h5py  # noqa: E402
import numpy  # noqa: E402

CONFIG = """
nnm: 1
model:
  Sequential:
    fc1: Linear(6, 12)
    bn: BatchNorm1d(12)
    act: ReLU()
    drop: Dropout(0.2)
    fc2: Linear(12, 3)
data:
  train: {random: {x: "f32[90, 6]", y: "i64[90] < 3"}, seed: 1}
  val: {split: 0.2, seed: 0}
  batch: 8
train:
  max: 400 steps
  loss: cross_entropy(out, y)
  metrics: {acc: accuracy(out, y)}
  optimizer: Adam(lr=1e-2)
  schedule: warmup(10 steps) |> cosine(final=0.1)
  accumulate: 2
  ema: 0.9
  log: every 7 steps
  eval: every 20 steps
  checkpoint: {every: 3 steps, keep: 2}
  seed: 3
"""


def folder():
    return tempfile.TemporaryDirectory(prefix="nnm-faults-")


def write_config(where, text=CONFIG):
    path = pathlib.Path(where) / "net.yaml"
    path.write_text(text)
    return path


def preload(folder, source):
    """Builds one of the C files beside this one into a library for LD_PRELOAD."""
    library = pathlib.Path(folder) / pathlib.Path(source).with_suffix(".so").name
    subprocess.run(["cc", "-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o", library,
                    pathlib.Path(__file__).with_name(source), "-ldl"], check=True)
    return library


def value_of(attribute):
    if isinstance(attribute, h5py.Empty):
        return "empty", attribute.dtype.str
    value = numpy.asarray(attribute)
    return value.dtype.str, value.shape, value.tobytes()


def contents(path, groups=None, clocks=True):
    """Attributes and data of a file's objects by path, bit for bit; of some top-level groups only.
    Without `clocks`, attributes that name seconds are left out."""
    found = {}

    def visit(name, item):
        if groups and name.split("/")[0] not in groups:
            return
        attributes = {k: value_of(v) for k, v in item.attrs.items() if clocks or "seconds" not in k}
        data = ()
        if isinstance(item, h5py.Dataset):
            data = (item.dtype.str, item.shape, item[()].tobytes())
        found[name] = (attributes, data)

    with h5py.File(path, "r") as f:
        visit("/", f)
        # visititems gives an object once, under one of its names: shared tensors are no matter.
        f.visititems(visit)
    return found


def differences(a, b):
    return sorted(k for k in a.keys() | b.keys() if a.get(k) != b.get(k))


class Failures:
    """Collects what is wrong and ends the test with it."""

    def __init__(self, name):
        self.name, self.found = name, []

    def check(self, good, message):
        if not good:
            self.found.append(message)
            print(f"{self.name}: {message}", flush=True)
        return good

    def end(self, done):
        print(f"{self.name}: {done}: " + (f"{len(self.found)} problems" if self.found else "good"))
        return 1 if self.found else 0
