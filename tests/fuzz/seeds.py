#!/usr/bin/env python3
"""Writes the seeds of tests/fuzz/corpus: a few small good files of every kind. What fuzzing found
stands beside them, under other names, and stays."""

import gzip
import io
import json
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "cli"))
import program  # noqa: E402

program.need_h5py()
import h5py  # noqa: E402
import numpy as np  # noqa: E402

CORPUS = pathlib.Path(__file__).with_name("corpus")
TINY = """nnm: 1
model: {Sequential: [Linear(2, 1)]}
data: {train: {random: {x: "f32[4, 2]", y: "f32[4, 1]"}}, batch: 2}
train: {max: 1 step, loss: "mse_loss(out, y)", optimizer: SGD(lr=0.1)}
"""
CONFIGS = {
    "tiny": TINY,
    "language": """nnm: 1
vars: {w: [4, 8], p: 0.1}
define:
  Net:
    args: {d: int, p: float = 0.0}
    require: [["d > 0", "d=${d}"]]
    modules:
      for i, (a, b) in enumerate(pairs([d] + vars.w)):
        fc${i}: Linear(a, b)
      if p > 0:
        drop: Dropout(p)
    params: {gain: ones(8)}
    buffers: {calls: {value: "zeros([])", persistent: false}}
    inputs: {x: "f32[B, d]"}
    forward:
      - for i in range(2):
          - x = x |> fc${i} |> relu
      - self.calls = calls + 1
      - return x * gain if p > 0 else x
model: Net(6, p=vars.p)
""",
    "run": """nnm: 1
model: {Sequential: [Linear(3, 4), ReLU(), {head: Linear(4, 2)}]}
data:
  train: {random: {x: "f32[8, 3]", y: "i64[8] < 2"}}
  val: {split: 0.25, seed: 0}
  transform: [scale(2)]
  batch: {train: 4, val: 2}
train:
  max: [3 epochs, 2 h]
  loss: cross_entropy(out, y)
  metrics: {acc: "accuracy(out, y)"}
  optimizer: AdamW(lr=3e-4)
  groups: {"*.bias": {weight_decay: 0}}
  schedule: warmup(2 steps) |> cosine(final=0.1)
  clip: norm(1.0)
  checkpoint: {every: 1 epoch, keep: "best(val.acc, 3)"}
  stop: patience(val.loss, 5 epochs)
hooks:
  - {on: forward, at: head, output: output + 1}
  - {on: full_backward, at: Linear, grad_input: grad_input * 2, when: {every: 2 steps}}
  - {name: guard, rule: nonfinite, action: stop}
tests: ["params(model) > 3"]
""",
    "traps": "nnm: 1\nx: &a {b: [1, 2]}\ny: {<<: *a, c: \"\\x1b\"}\nmodel: [scale(1 / 2, 3), f(a]\n",
}
OVERRIDES = {
    "some": "vars.widths[0]=16\ntrain.max=3 steps\nhooks+={on: forward, at: Linear, output: output + 1}\n",
    "more": "hooks.watch.enabled=false\ntrain.optimizer=SGD(lr=1e-3)\nvars.name=b\ntrain.clip=norm(1)\n",
}
EXPRESSIONS = {
    "arithmetic": "-2 ** 2 // 3 % 5 + n * 1.5e-3 < 7 and not (1 <= n < 4 or n == 3)",
    "tensors": "relu(x @ out.transpose(0, 1)).sum(-1)[None, :, 0:2:1] if n > 2 else x[y]",
    "pipe": "x |> softmax(dim=1) |> flatten(0)",
    "lists": "[a * 2 for a in vars.b if a != 's'] + list(range(3)) + [(1, 2)[0], 'é${n}']",
    "loss": "cross_entropy(out, y, label_smoothing=0.1) + vars.a * mse_loss(x, out)",
}


def write(target, name, data):
    (CORPUS / target).mkdir(parents=True, exist_ok=True)
    (CORPUS / target / name).write_bytes(data.encode() if isinstance(data, str) else data)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, depth, colour, rows, extra=b"", interlace=0):
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra +
            chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def arrays():
    write("idx", "images", b"\0\0\x08\x03" + struct.pack(">III", 2, 2, 3) + bytes(range(12)))
    write("idx", "labels.gz", gzip.compress(b"\0\0\x08\x01" + struct.pack(">I", 3) + b"\1\2\3", mtime=0))
    write("idx", "floats", b"\0\0\x0d\x02" + struct.pack(">II4f", 2, 2, 1, 2, 3, 4))
    write("csv", "numbers", "a,b,label\n1,2.5,0\n-3,nan,1\n")
    write("csv", "quotes", '"a ""x""",b\r\n"1",2e3\r\n3,inf\r\n')
    for name, array in (("f32", np.ones((2, 3), "<f4")), ("big", np.asfortranarray(np.eye(3, dtype=">f8"))),
                        ("bool", np.array([True, False])), ("u64", np.array(7, "<u8"))):
        buffer = io.BytesIO()
        np.save(buffer, array)
        write("npy", name, buffer.getvalue())
    for name, save in (("stored", np.savez), ("deflated", np.savez_compressed)):
        buffer = io.BytesIO()
        save(buffer, a=np.arange(6, dtype="<i4").reshape(2, 3), b=np.ones(2))
        write("npz", name, buffer.getvalue())
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "a.h5"
        for version in ("earliest", "v108"):
            with h5py.File(path, "w", libver=(version, "v110")) as f:
                f["x"] = np.ones((2, 3), "<f4")
                f.create_dataset("g/y", data=np.arange(4), chunks=(2,), compression=1, shuffle=True,
                                 fletcher32=True)
            write("hdf5", version, path.read_bytes())


def pictures():
    write("picture", "gray.png", png(2, 2, 8, 0, b"\0\1\2\0\3\4"))
    write("picture", "rgb.png", png(1, 2, 8, 2, b"\1\1\2\3\2\4\5\6"))
    write("picture", "palette.png", png(4, 1, 2, 3, b"\0\x1b", chunk(b"PLTE", bytes(range(12)))))
    write("picture", "deep.png", png(1, 1, 16, 6, b"\0" + bytes(8)))
    write("picture", "interlaced.png", png(1, 1, 8, 0, b"\0\7", interlace=1))
    # JPEG files stand in the test of pictures.
    code = (CORPUS.parents[1] / "data/pictures.cpp").read_text()
    for name, digits in re.findall(r'char\* const k(\w+)Jpeg =((?:\s*"[0-9a-f]+")+);', code):
        write("picture", f"{name.lower()}.jpg", bytes.fromhex(re.sub(r"[\s\"]", "", digits)))


def safetensors():
    header = json.dumps({"__metadata__": {"format": "pt"},
                         "a": {"dtype": "F32", "shape": [2, 1], "data_offsets": [0, 8]},
                         "b": {"dtype": "BF16", "shape": [], "data_offsets": [8, 10]},
                         "c": {"dtype": "U8", "shape": [0, 3], "data_offsets": [10, 10]}})
    write("safetensors", "three", struct.pack("<Q", len(header)) + header.encode() + bytes(10))


def nnm_files():
    with tempfile.TemporaryDirectory() as folder:
        where = pathlib.Path(folder)
        (where / "c.yaml").write_text(TINY)
        for words in ("train c.yaml --run run -q", "trace run --hook forward --tensor full -o t.h5 -q"):
            subprocess.run(["nnm", *words.split()], cwd=where, env=program.environment(), check=True,
                           stdout=subprocess.DEVNULL)
        write("checkpoint", "tiny", (where / "run/checkpoints/last.h5").read_bytes())
        # A whole one has many chunks of empty tables; tests/golden has some.
        write("trace", "cut", (where / "t.h5").read_bytes()[:12288])


def main():
    for target, texts in (("config", CONFIGS), ("overrides", OVERRIDES), ("expression", EXPRESSIONS)):
        for name, text in texts.items():
            write(target, name, text)
    write("text", "letters", "Nnm: naïve Ωμέγα 🙂\n\ttab\n")
    write("bpe", "merges", "#version: 0.2\nl o\nlo w\ne r\n\0low lower 'slow' 3é  x\n")
    arrays()
    pictures()
    safetensors()
    if shutil.which("nnm", path=program.environment()["PATH"]):
        nnm_files()


if __name__ == "__main__":
    main()
