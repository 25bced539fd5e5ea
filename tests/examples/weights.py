"""What the originals share: state dicts out of HDF5."""

import h5py
import torch


def load(path):
    with h5py.File(path) as f:
        return {name: torch.from_numpy(d[()]) for name, d in f["state_dict"].items()}
