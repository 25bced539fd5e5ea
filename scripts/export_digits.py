#!/usr/bin/env python3
"""Writes configs/data/digits.h5: 1,797 handwritten digits of 8x8 pixels, values 0 to 16.

Usage: scripts/export_digits.py [OUTPUT]. Needs numpy, h5py and scikit-learn, whose load_digits has
the data: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning
Repository, 1998, https://doi.org/10.24432/C50P49, licensed under CC BY 4.0
(https://creativecommons.org/licenses/by/4.0/). Changed: divided into train and test, stored as
bytes of shape (N, 1, 8, 8).
"""

import pathlib
import sys

import h5py
import numpy as np
from sklearn.datasets import load_digits

DEFAULT = pathlib.Path(__file__).resolve().parent.parent / "configs" / "data" / "digits.h5"
TEST = 360

ATTRIBUTES = {
    "title": "Optical Recognition of Handwritten Digits",
    "creators": "E. Alpaydin, C. Kaynak",
    "source": "https://doi.org/10.24432/C50P49 (test part), by way of scikit-learn's load_digits",
    "license": "CC BY 4.0, https://creativecommons.org/licenses/by/4.0/",
    "changes": "divided into train and test, stored as bytes of shape (N, 1, 8, 8)",
}


def main():
    output = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT
    digits = load_digits()
    images = digits.images.astype(np.uint8)[:, None]
    labels = digits.target.astype(np.uint8)
    # A fixed division: writers come in runs, so the samples are mixed first.
    order = np.random.default_rng(0).permutation(len(labels))
    test, train = order[:TEST], order[TEST:]

    output.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(output, "w", libver=("earliest", "v108"), track_order=True) as f:
        for name, value in ATTRIBUTES.items():
            f.attrs[name] = np.bytes_(value)
        for part, samples in (("train", train), ("test", test)):
            for kind, data in (("images", images), ("labels", labels)):
                chosen = data[samples]
                f.create_dataset(f"{part}_{kind}", data=chosen, chunks=chosen.shape,
                                 compression="gzip", compression_opts=9, track_times=False)
    print(output)


if __name__ == "__main__":
    main()
