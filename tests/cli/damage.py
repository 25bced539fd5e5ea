#!/usr/bin/env python3
"""Copies an HDF5 file and changes one byte of a dataset: damage.py FILE DATASET COPY."""
import sys

import program

program.need_h5py()
import h5py  # noqa: E402

source, name, copy = sys.argv[1:]
with h5py.File(source, "r") as f:
    at = f[name].id.get_offset() + 5
data = bytearray(open(source, "rb").read())
data[at] ^= 1
open(copy, "wb").write(data)
