#!/usr/bin/env python3
"""nnm trace as h5py sees it: what --list foretells, true shapes, kills and signals."""

import json
import os
import pathlib
import signal
import subprocess
import tempfile
import time
import unittest

import program

program.need_h5py()
import h5py  # noqa: E402
import numpy as np  # noqa: E402

CONFIG = """
nnm: 1
define:
  Sub:
    modules:
      lin: Linear(6, 6)
    inputs:
      x: f32[B, 6]
      scale: f32[B, 6]
    forward:
      - h = x |> lin
      - return h * scale, (h, x)
  Net:
    modules:
      fc: Linear(4, 6)
      act: ReLU()
      sub: Sub()
      lstm: LSTM(6, 5, batch_first=True)
      twin: Linear(4, 6)
      head: Linear(6, 3)
    tie: [twin.weight = fc.weight]
    inputs:
      x: f32[B, 4]
    forward:
      - h = x |> fc |> act
      - (a, (b, c)) = sub(h, scale=h)
      - y, (hn, cn) = lstm((a + twin(x)).unsqueeze(1))
      - q = act(y).squeeze(1)
      - return head(act(b + c)) + q[:, 0:3]
model: Net()
data:
  train: {random: {x: "f32[40, 4]", y: "i64[40] < 3"}, seed: 0}
  batch: 16
train:
  max: 4 steps
  loss: cross_entropy(out, y)
  optimizer: SGD(lr=0.1)
"""

KINDS = ["forward_pre", "forward", "full_backward_pre", "full_backward", "tensor",
         "post_accumulate_grad"]
STATISTICS = "mean,std,min,max,l1,l2,absmax,sum,nan,inf,zero,numel,p1,p50,p99,histogram"
RUNS = [
    [],
    ["--steps", "9"],
    ["--steps", "2", "--every", "2"],
    ["--steps", "3", "--batch", "7"],
    ["--hook", "full_backward", "--hook", "full_backward_pre", "--steps", "3"],
    ["--hook", "full_backward", "--input-grad", "--tensor", "slice:1:3"],
    ["--hook", "tensor:sub.output", "--hook", "tensor:sub.input"],
    ["--hook", "tensor:fc.weight", "--hook", "post_accumulate_grad:**.bias"],
    ["--hook", "forward:Linear", "--what", "input,output,weight,weight_grad"],
    ["--hook", "forward", "--tensor", "none"],
    ["--hook", "forward:ReLU", "--mode", "train", "--split", "train", "--steps", "3"],
]


def texts(file, path):
    return [t.decode() for t in file[path][()]]


class Trace(unittest.TestCase):
    def setUp(self):
        self.scratch = tempfile.TemporaryDirectory()
        self.folder = pathlib.Path(self.scratch.name)
        (self.folder / "net.yaml").write_text(CONFIG)

    def tearDown(self):
        self.scratch.cleanup()

    def trace(self, *words, code=0):
        done = program.nnm("trace", "net.yaml", "--fresh", "-q", *words, cwd=self.folder)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stdout

    def open(self, *words, name="t.h5"):
        self.trace("-o", name, *words)
        return h5py.File(self.folder / name, "r")

    def test_a_list_tells_what_a_run_writes(self):
        for run in RUNS:
            with self.subTest(run=run):
                told = json.loads(self.trace(*run, "--list", "--format", "json"))
                self.assertEqual(self.trace(*run, "--dry-run", "--format", "json"),
                                 self.trace(*run, "--list", "--format", "json"))
                done = json.loads(self.trace(*run, "-o", "t.h5", "--format", "json"))
                self.assertEqual(told["bytes"], done["bytes"])
                self.assertEqual(told["steps"], done["steps"])
                with h5py.File(self.folder / "t.h5", "r") as f:
                    columns = [f[f"index/{c}"][()] for c in
                               ("site", "what", "arg", "call", "hook", "shape", "dtype")]
                    sites = [(m.decode(), w.decode(), a.decode(), int(c), h.decode(),
                              [int(n) for n in s.decode().split(",") if n], d.decode())
                             for m, w, a, c, h, s, d in zip(*columns)]
                    self.assertEqual(sites, [(s["module"], s["what"], s["arg"], s["call"],
                                              s["hook"], s["shape"], s["dtype"])
                                             for s in told["sites"]])
                    self.assertEqual(self.true_bytes(f), done["bytes"])

    def test_a_child_called_as_the_root_s_class(self):
        (self.folder / "net.yaml").write_text(
            'nnm: 1\ndefine:\n  fc:\n    modules: {fc: "Linear(4, 3)"}\n    inputs: {x: "f32[B, 4]"}\n'
            "    forward:\n      - return fc(x) + 1\nmodel: fc()\n")
        np.save(self.folder / "x.npy", np.ones((2, 4), "f4"))
        with self.open("--hook", "forward", "--input", "x.npy") as f:
            self.assertEqual(texts(f, "index/site"), ["fc", ""])
            self.assertEqual(texts(f, "calls/module"), ["fc", ""])
            self.assertEqual(sorted(f["tensors"]), ["%", "fc"])
            self.assertTrue(np.array_equal(f["tensors/%/output/0"][()], f["tensors/fc/output/0"][()] + 1))

    def true_bytes(self, f):
        """Of all records, by @shape where there is one."""
        total = 0
        for what in (w for m in f.get("tensors", {}).values() for w in m.values()):
            args = [a for a in what if not a.startswith("@")]
            column = 0
            for arg in sorted(args):
                data = what[arg]
                rank = data.ndim - 1
                if "@shape" in what:
                    shapes = what["@shape"][:, column:column + rank]
                    total += sum(int(np.prod([n for n in s if n >= 0])) for s in shapes
                                 if rank == 0 or s[0] >= 0) * data.dtype.itemsize
                else:
                    total += data.size * data.dtype.itemsize
                column += rank
        return total

    def test_statistics_are_those_of_the_tensors(self):
        words = [w for k in KINDS for w in ("--hook", k)]
        with self.open(*words, "--steps", "3", "--reduce", STATISTICS, "--what",
                       "input,output,grad_input,grad_output,weight,weight_grad") as f:
            names = texts(f, "index/stat")
            at = {n: i for i, n in enumerate(names)}
            values, edges = f["stats/values"][()], f["index/bin_edges"][()]
            self.assertEqual(values.shape, (3, len(f["index/site"]), 15))
            self.assertTrue(np.all(np.diff(edges) > 0))
            self.assertTrue(np.array_equal(edges, -edges[::-1]))
            steps = list(f["index/step"][()])
            for s, (module, what, arg, call) in enumerate(zip(
                    texts(f, "index/site"), texts(f, "index/what"), texts(f, "index/arg"),
                    f["index/call"][()])):
                group = f["tensors"][module][what]
                records = [i for i, c in enumerate(group["@call"][()]) if c == call]
                self.assertEqual([group["@step"][i] for i in records], steps)
                for t, i in enumerate(records):
                    x = self.record(group, arg, i).astype(np.float64).ravel()
                    row, count = values[t, s], x.size
                    self.assertEqual(row[at["numel"]], count)
                    self.assertEqual(row[at["zero"]], np.sum(x == 0))
                    for name, want in (("mean", x.mean()), ("std", x.std(ddof=1)),
                                       ("min", x.min()), ("max", x.max()), ("sum", x.sum()),
                                       ("l1", np.abs(x).sum()), ("l2", np.sqrt((x * x).sum())),
                                       ("absmax", np.abs(x).max())):
                        np.testing.assert_allclose(row[at[name]], want, rtol=1e-9, atol=1e-15,
                                                   err_msg=f"{module} {what} {name}")
                    histogram = f["stats/histogram"][t, s]
                    inner = np.concatenate([[-np.inf], edges[1:-1], [np.inf]])
                    np.testing.assert_array_equal(histogram, np.histogram(x, inner)[0])
                    self.assertTrue(row[at["p1"]] <= row[at["p50"]] <= row[at["p99"]])

    def record(self, group, arg, i):
        data, column = group[arg], 0
        for other in sorted(a for a in group if not a.startswith("@") and a < arg):
            column += group[other].ndim - 1
        if "@shape" not in group:
            return data[i]
        shape = group["@shape"][i, column:column + data.ndim - 1]
        return data[i][tuple(slice(0, n) if n >= 0 else 0 for n in shape)]

    def test_one_module_called_with_tensors_of_two_ranks(self):
        with self.open("--steps", "3") as f:
            group = f["tensors/act/output"]
            self.assertEqual(group["0"].shape, (9, 16, 6, 5))
            self.assertEqual(group["@call"][()].tolist(), [0, 1, 2] * 3)
            self.assertEqual(group["@shape"][()].tolist(),
                             [[16, 6, -1], [16, 1, 5], [16, 6, -1]] * 2
                             + [[8, 6, -1], [8, 1, 5], [8, 6, -1]])
            self.assertEqual(texts(f, "model/modules/name")[0], "")
            self.assertIn("Net", f["tensors"])
            self.assertEqual(sorted(a for a in f["tensors/sub/output"] if a[0] != "@"),
                             ["0", "1", "2"])
            self.assertEqual(f.attrs["complete"], 1)
        with self.open("--hook", "forward_pre:sub") as f:
            self.assertIn("scale", f["tensors/sub/input"])
        with self.open("--hook", "post_accumulate_grad", "--what", "weight,weight_grad") as f:
            np.testing.assert_array_equal(f["tensors/fc/weight/weight"][()],
                                          f["tensors/twin/weight/weight"][()])

    def run_long(self, name):
        """A trace that goes on for as long as it is let, some records into it."""
        config = CONFIG.replace("[40", "[4000000")
        (self.folder / "long.yaml").write_text(config)
        process = subprocess.Popen(
            ["nnm", "trace", "long.yaml", "--fresh", "-q", "--steps", "200000", "-o", name,
             "--max-bytes", "100GiB", "--reduce", "mean"],
            cwd=self.folder, env=program.environment(), stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True)
        part = self.folder / f"{name}.part"
        end = time.monotonic() + program.TIMEOUT
        while not (part.exists() and part.stat().st_size > 3_000_000):
            self.assertLess(time.monotonic(), end)
            self.assertIsNone(process.poll())
            time.sleep(0.02)
        return process

    def test_a_signal_ends_it_after_its_step(self):
        process = self.run_long("s.h5")
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=program.TIMEOUT)
        self.assertEqual(process.returncode, 143, err)
        with h5py.File(self.folder / "s.h5", "r") as f:
            self.assertEqual(f.attrs["complete"], 1)
            self.assertEqual(texts(f, "events/event"), ["signal"])
            self.assertEqual(len(f["index/step"]), len(f["memory/step"]))
        self.assertFalse((self.folder / "s.h5.part").exists())
        self.assertEqual(program.nnm("verify", "s.h5", cwd=self.folder).returncode, 0)

    def test_what_a_killed_one_leaves_can_be_read(self):
        process = self.run_long("k.h5")
        process.kill()
        process.communicate()
        self.assertFalse((self.folder / "k.h5").exists())
        with h5py.File(self.folder / "k.h5.part", "r") as f:
            self.assertEqual(f.attrs["complete"], 0)
            self.assertGreaterEqual(len(f["index/step"]), 50)
            self.assertGreaterEqual(len(f["stats/values"]), 50)
            self.assertTrue(np.isfinite(f["stats/values"][:50]).all())
            self.assertTrue(np.any(f["tensors/fc/output/0"][49] != 0))


if __name__ == "__main__":
    os.environ.setdefault("PYTHONDONTWRITEBYTECODE", "1")
    unittest.main()
