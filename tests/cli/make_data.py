"""Writes the input files of the transcripts into the working directory: features of 64 samples and
their labels, good ones and wrong ones, in every format."""
import gzip
import struct

import program

program.need_h5py()
import h5py  # noqa: E402
import numpy as np  # noqa: E402

x = np.random.default_rng(0).normal(size=(64, 4)).astype("f4")
y = np.arange(64) % 3
np.save("x.npy", x)
np.save("y.npy", y)
np.save("half.npy", x / 2)
np.save("label3.npy", np.where(np.arange(64) == 37, 3, y))
np.save("short.npy", y[:60])
np.save("wide.npy", np.zeros((64, 5), "f4"))
np.save("nan.npy", np.where(np.arange(256).reshape(64, 4) == 22, np.nan, x).astype("f4"))
np.savez("xy.npz", x=x, y=y)
with open("d.csv", "w") as f:
    f.write("a,b,c,d,label\n")
    f.writelines(",".join(map(repr, map(float, row))) + f",{label}\n" for row, label in zip(x, y))
with open("x.csv", "w") as f:
    f.write("a,b,c,d\n")
    f.writelines(",".join(map(repr, map(float, row))) + "\n" for row in x)
with open("x.idx", "wb") as f:
    f.write(struct.pack(">HBBII", 0, 0x0D, 2, 64, 4) + x.astype(">f4").tobytes())
with gzip.open("x.idx.gz", "wb") as f:
    f.write(open("x.idx", "rb").read())
with h5py.File("in.h5", "w") as f:
    f["x"], f["y"] = x, y
with h5py.File("in0.h5", "w") as f:
    f["0"] = x
with h5py.File("other.h5", "w") as f:
    f["z"] = x
