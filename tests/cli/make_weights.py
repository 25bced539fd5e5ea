"""Writes the weights of a checkpoint in every form that --weights takes: make_weights.py FILE."""
import json
import struct
import sys

import program

program.need_h5py()
import h5py  # noqa: E402
import numpy as np  # noqa: E402

with h5py.File(sys.argv[1], "r") as f:
    state = {k: f["state_dict"][k][()] for k in f["state_dict"]}


def hdf5(path, tensors, group=""):
    with h5py.File(path, "w") as f:
        for name, value in tensors.items():
            f[group + name] = value


def safetensors(path, tensors, dtype="<f4", name="F32"):
    header, data = {}, b""
    for key, value in tensors.items():
        raw = value.astype(dtype).tobytes()
        header[key] = {"dtype": name, "shape": list(value.shape),
                       "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)


hdf5("root.h5", state)
hdf5("group.h5", state, "state_dict/")
hdf5("f64.h5", {k: v.astype("f8") for k, v in state.items()})
hdf5("big.h5", {k: v.astype(">f4") for k, v in state.items()})
hdf5("less.h5", {k: v for k, v in state.items() if k != "fc2.bias"})
hdf5("more.h5", {**state, "fc3.bias": np.zeros(3, "f4")})
hdf5("wrong.h5", {**state, "fc2.bias": np.zeros(4, "f4")})
hdf5("louder.h5", {k: v * (2 if k.startswith("fc2") else 1) for k, v in state.items()})
hdf5("parallel.h5", {f"module.{k}": v for k, v in state.items()})
hdf5("text.h5", {**state, "fc2.bias": np.bytes_("text")})
safetensors("w.safetensors", state)
safetensors("f64.safetensors", state, "<f8", "F64")
with open("w.safetensors", "rb") as f:
    data = f.read()
open("cut.safetensors", "wb").write(data[:-3])
open("huge.safetensors", "wb").write(struct.pack("<Q", 1 << 62) + data[8:])
