#!/usr/bin/env python3
"""Writes what the Python originals of tests/examples print, NAME.txt beside NAME.py, and weights.h5.

    python scripts/golden_examples.py
"""

import os
import pathlib
import subprocess
import sys
import tempfile

import h5py
import numpy as np

from golden import ROOT, uniform

FOLDER = ROOT / "tests" / "examples"
SHAPES = {"fc1.weight": (5, 10), "fc1.bias": (5,), "fc2.weight": (2, 5), "fc2.bias": (2,)}


def main():
    weights = FOLDER / "weights.h5"
    with h5py.File(weights, "w", track_order=True) as f:
        group = f.create_group("state_dict", track_order=True)
        for name, shape in SHAPES.items():
            numbers = uniform(name, int(np.prod(shape))) - 0.5
            group.create_dataset(name, data=numbers.reshape(shape).astype(np.float32), track_times=False)
    for original in sorted(FOLDER.glob("*.py")):
        if original.name == "weights.py":
            continue
        with tempfile.TemporaryDirectory() as folder:
            run = subprocess.run([sys.executable, original, weights, f"{folder}/model.h5"], text=True,
                                 capture_output=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"})
        if run.returncode:
            sys.exit(f"{original.name}: {run.stderr}")
        original.with_suffix(".txt").write_text(run.stdout)


if __name__ == "__main__":
    main()
