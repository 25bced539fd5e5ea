#!/usr/bin/env python3
"""Checkpoints and traces as h5py sees them: names, order, types, checksums, statistics."""

import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

import program

program.need_h5py()
import h5py  # noqa: E402
import numpy as np  # noqa: E402

try:
    import torch
except ImportError:
    torch = None

CONFIG = """
nnm: 1
define:
  Net:
    modules:
      embed: Embedding(7, 6)
      bn: BatchNorm1d(6)
      mix: Linear(6, 6)
      head: Linear(6, 7, bias=false)
    params:
      gain: ones(1)
    buffers:
      calls: {value: "zeros([], dtype=i64)"}
      mask: {value: "tensor([true, false, true])"}
    tie:
      - head.weight = embed.weight
    inputs:
      x: i64[B]
      s: f32[B, 1]
    forward:
      - self.calls = calls + 1
      - h = bn(embed(x)) * s
      - h = relu(mix(h)) + mix(h) * gain
      - return head(h)
model: Net()
data:
  train: {random: {x: "i64[44] < 7", s: "f32[44, 1]", y: "i64[44] < 7"}, seed: 0}
  val: {split: 8, seed: 0}
  batch: 10
  shuffle: false
train:
  max: 6 steps
  loss: cross_entropy(out, y)
  metrics: {acc: accuracy(out, y)}
  optimizer: AdamW(lr=0.01)
  schedule: StepLR(step_size=4)
  ema: 0.5
  log: every 2 steps
  eval: every 3 steps
  checkpoint: {every: 2 steps, keep: all}
"""
STATISTICS = "mean,std,min,max,l1,l2,absmax,sum,nan,inf,zero,numel,p1,p50,p99,histogram"


def crc32c_table():
    table = []
    for n in range(256):
        for _ in range(8):
            n = n >> 1 ^ (0x82F63B78 if n & 1 else 0)
        table.append(n)
    return table


TABLE = crc32c_table()


def crc32c(data, crc=0):
    crc ^= 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ TABLE[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


def nnm(*words):
    done = program.nnm(*words, cwd=WHERE)
    if done.returncode:
        raise AssertionError(f"nnm {' '.join(words)}: exit code {done.returncode}\n{done.stderr}")
    return done.stdout


def texts(dataset):
    return [t.decode() for t in dataset[()]]


def address(item):
    return h5py.h5o.get_info(item.id).addr


def record(group, arg, row):
    """An entry without its padding: @shape holds the extents of all args, in the order of names."""
    value = group[arg][row]
    if "@shape" not in group:
        return value
    before = sum(group[a].ndim - 1 for a in group if not a.startswith("@") and a < arg)
    shape = group["@shape"][row][before:before + value.ndim]
    return value[tuple(slice(0, n) for n in shape)]


def all_datasets(f):
    found = {}

    def walk(group, path):
        for name in group:
            item = group[name]
            if isinstance(item, h5py.Dataset):
                found[f"{path}/{name}"] = item
            else:
                walk(item, f"{path}/{name}")

    walk(f, "")
    return found


class Files(unittest.TestCase):
    def check_manifest(self, f):
        m = f["manifest"]
        columns = [m[c] for c in ("path", "dtype", "shape", "nbytes", "crc32c")]
        self.assertEqual(len({len(c) for c in columns}), 1)
        crc = 0
        for c in columns:
            crc = crc32c(c[()].tobytes(), crc)
        self.assertEqual(int(f.attrs["manifest_crc32c"]), crc)
        for path, _, shape, nbytes, crc in zip(texts(m["path"]), texts(m["dtype"]),
                                               texts(m["shape"]), m["nbytes"], m["crc32c"]):
            data = f[path][()]
            self.assertEqual(shape, ",".join(map(str, f[path].shape)), path)
            raw = np.asarray(data).astype(f[path].dtype).tobytes()
            self.assertEqual(nbytes, len(raw), path)
            self.assertEqual(crc, crc32c(raw), path)
        return set(texts(m["path"]))

    def check_no_surprises(self, f):
        """Hard links, fixed-length strings, known filters."""
        def walk(group):
            for name in group:
                self.assertIsInstance(group.get(name, getlink=True), h5py.HardLink, name)
                item = group[name]
                for key in item.attrs:
                    kind = item.attrs.get_id(key).dtype
                    self.assertIsNone(h5py.check_string_dtype(kind) and
                                      not h5py.check_string_dtype(kind).length or None, key)
                if isinstance(item, h5py.Dataset):
                    info = h5py.check_string_dtype(item.dtype)
                    self.assertTrue(info is None or info.length is not None, item.name)
                    self.assertIsNone(item.compression, item.name)
                else:
                    walk(item)

        walk(f)


class Checkpoint(Files):
    def setUp(self):
        self.f = h5py.File(WHERE / "run/checkpoints/last.h5", "r")
        self.summary = json.loads(nnm("summary", "net.yaml", "--format", "json"))

    def tearDown(self):
        self.f.close()

    def test_root(self):
        a = self.f.attrs
        self.assertEqual((a["format"], a["kind"], int(a["complete"])), (b"nnm-checkpoint", b"training", 1))
        self.assertEqual((int(a["global_step"]), int(a["epoch"])), (6, 1))
        for key in ("format_version", "min_reader", "nnm_version", "git_commit", "created_utc", "device",
                    "torch_semantics", "run_id", "parent_run_id", "manifest_crc32c"):
            self.assertIn(key, a)
        self.assertEqual(self.f["config"][()].decode(), CONFIG)
        for group in ("model/modules", "model/aliases", "optimizer", "scheduler", "ema", "rng", "data",
                      "metrics", "provenance", "manifest"):
            self.assertIn(group, self.f)

    def test_state_dict_is_ordered_and_typed(self):
        group = self.f["state_dict"]
        want = self.summary["state_dict"]
        self.assertTrue(group.id.get_create_plist().get_link_creation_order() & h5py.h5p.CRT_ORDER_TRACKED)
        self.assertEqual(list(group), [t["name"] for t in want])
        types = {"f32": np.float32, "i64": np.int64, "bool": np.bool_}
        for t in want:
            d = group[t["name"]]
            self.assertEqual(d.dtype, types[t["dtype"]], t["name"])
            self.assertEqual(list(d.shape), t["shape"], t["name"])
            self.assertEqual(d.attrs["kind"].decode(), t["kind"])
            self.assertEqual(d.attrs["dtype"].decode(), t["dtype"])
            self.assertEqual(bool(d.attrs["requires_grad"]), t["requires_grad"])
            self.assertEqual(d.attrs.get_id("crc32c").dtype, np.uint32)
            self.assertEqual(int(d.attrs["crc32c"]), crc32c(np.asarray(d[()]).tobytes()), t["name"])
        self.assertEqual(group["calls"].shape, ())
        # Six steps of training, and two evaluations of one batch.
        self.assertEqual(int(group["calls"][()]), 8)
        self.assertEqual(group["mask"][()].tolist(), [True, False, True])

    def test_the_line(self):
        f = self.f
        if torch:
            state = {k: torch.as_tensor(f["state_dict"][k][()]) for k in f["state_dict"]}
            self.assertEqual(state["bn.num_batches_tracked"].dtype, torch.int64)
            embed = torch.nn.Embedding(7, 6)
            embed.load_state_dict({"weight": state["embed.weight"]})
        else:
            state = {k: np.asarray(f["state_dict"][k][()]) for k in f["state_dict"]}
        self.assertEqual(list(state), [t["name"] for t in self.summary["state_dict"]])
        self.assertEqual(tuple(state["mix.weight"].shape), (6, 6))

    def test_tied_tensors_are_hard_links(self):
        s = self.f["state_dict"]
        self.assertEqual(address(s["head.weight"]), address(s["embed.weight"]))
        self.assertNotEqual(address(s["mix.weight"]), address(s["embed.weight"]))
        pairs = zip(texts(self.f["model/aliases/alias"]), texts(self.f["model/aliases/canonical"]))
        self.assertEqual(list(pairs), [("head.weight", "embed.weight")])

    def test_manifest(self):
        listed = self.check_manifest(self.f)
        addresses = {address(self.f[p]) for p in listed}
        for path, d in all_datasets(self.f).items():
            if not path.startswith("/manifest/"):
                self.assertIn(address(d), addresses, path)
        self.check_no_surprises(self.f)

    def test_the_commit(self):
        done = subprocess.run(["git", "-C", program.ROOT, "rev-parse", "HEAD"], capture_output=True, text=True)
        if done.returncode or not (program.ROOT / ".git").exists():
            self.skipTest("needs a clone")
        self.assertEqual(self.f.attrs["git_commit"].decode(), done.stdout.strip())

    def test_the_data_have_a_fingerprint(self):
        found = {self.f["data"].attrs["fingerprint"].decode()}
        self.assertRegex(min(found), "^[0-9a-f]{8}$")
        same = "data.batch=5"
        for other in (same, "data.train.seed=1", "data.val.split=9", "data.limit=20"):
            nnm("train", "net.yaml", "--run", "other", "--force", "-q", "--max", "1 step", "--set", other)
            with h5py.File(WHERE / "other/checkpoints/last.h5", "r") as f:
                mark = f["data"].attrs["fingerprint"].decode()
            self.assertEqual(mark in found, other == same, other)
            found.add(mark)

    def test_the_precision(self):
        self.assertNotIn("amp", self.f)
        nnm("train", "net.yaml", "--run", "other", "--force", "-q", "--max", "1 step", "--set", "train.precision=bf16")
        with h5py.File(WHERE / "other/checkpoints/last.h5", "r") as f:
            self.assertEqual(f["amp"].attrs["autocast"], b"bf16")

    def test_optimizer_by_name(self):
        o = self.f["optimizer"]
        self.assertEqual(o.attrs["type"], b"AdamW")
        defaults = json.loads(o.attrs["defaults"])
        self.assertEqual((defaults["lr"], defaults["betas"], defaults["fused"]), (0.01, [0.9, 0.999], None))
        self.assertEqual(sorted(defaults), sorted(o["defaults"].attrs))
        names = [t["name"] for t in self.summary["state_dict"]
                 if t["kind"] == "parameter" and t["name"] != "head.weight"]
        self.assertEqual(sorted(o["state"]), sorted(names))
        self.assertEqual(o["state/mix.weight/exp_avg"].shape, (6, 6))
        step = o["state/mix.weight/step"]
        self.assertEqual((step.shape, step.dtype), ((), np.float64))
        self.assertEqual(step[()], self.f.attrs["global_step"])
        self.assertEqual(list(o["state/mix.weight"].attrs), [])
        self.assertEqual(texts(o["param_groups/0/params"]), names)
        self.assertEqual(sorted(self.f["ema"]), sorted(names))

    def test_metrics_are_those_of_the_csv(self):
        m = self.f["metrics"]
        rows = (WHERE / "run/metrics.csv").read_text().splitlines()
        header = rows[0].split(",")
        self.assertEqual(header, ["event", "step", "epoch", "split", "loss", "lr", "acc"])
        self.assertEqual(len(m["step"]), len(rows) - 1)
        for i, row in enumerate(rows[1:]):
            values = dict(zip(header, row.split(",")))
            self.assertEqual(values["event"], m["event"][i].decode())
            self.assertEqual(int(values["step"]), m["step"][i])
            self.assertEqual(float(values["loss"]), m["loss"][i])


class Trace(Files):
    def setUp(self):
        self.f = h5py.File(WHERE / "trace.h5", "r")

    def tearDown(self):
        self.f.close()

    def sites(self):
        i = self.f["index"]
        return list(zip(texts(i["site"]), texts(i["what"]), texts(i["arg"]), i["call"][()].tolist(),
                        texts(i["hook"]), texts(i["shape"]), texts(i["dtype"])))

    def test_root(self):
        a = self.f.attrs
        self.assertEqual((a["format"], int(a["complete"])), (b"nnm-trace", 1))
        for key in ("format_version", "nnm_version", "config_sha256", "checkpoint_sha256"):
            self.assertIn(key, a)
        self.assertEqual(self.f["config"][()].decode(), CONFIG)
        self.assertEqual(texts(self.f["model/modules/name"])[0], "")
        self.assertEqual(texts(self.f["model/modules/type"])[0], "Net")

    def test_manifest_and_crc(self):
        listed = self.check_manifest(self.f)
        self.check_no_surprises(self.f)
        for path, d in all_datasets(self.f).items():
            checked = d.fletcher32 or path in listed or path.startswith(("/tensors/", "/manifest/"))
            self.assertTrue(checked, path)

    def records(self):
        for module in self.f["tensors"]:
            for what in self.f["tensors"][module]:
                yield module, what, self.f["tensors"][module][what]

    def test_tensor_records(self):
        seen = 0
        for module, what, group in self.records():
            args = sorted(k for k in group if not k.startswith("@"))
            steps, calls, crcs = group["@step"][()], group["@call"][()], group["@crc32c"][()]
            self.assertEqual(crcs.shape, (len(steps), len(args)))
            self.assertEqual(len(calls), len(steps))
            for column, arg in enumerate(args):
                d = group[arg]
                self.assertEqual(len(d), len(steps), d.name)
                for row in range(len(steps)):
                    value = record(group, arg, row)
                    rest = d[row].copy()
                    rest[tuple(slice(0, n) for n in value.shape)] = 0
                    self.assertFalse(rest.any(), d.name)
                    self.assertEqual(crcs[row, column], crc32c(np.ascontiguousarray(value).tobytes()),
                                     f"{d.name}[{row}]")
                    seen += 1
        self.assertGreater(seen, 50)

    def test_the_smaller_last_batch_tells_its_shape(self):
        group = self.f["tensors/mix/output"]
        self.assertEqual(group["0"].shape, (8, 10, 6))
        self.assertEqual(group["@step"][()].tolist(), [0, 0, 1, 1, 2, 2, 3, 3])
        self.assertEqual(group["@call"][()].tolist(), [0, 1] * 4)
        self.assertEqual(group["@shape"][-1].tolist(), [6, 6])

    def test_calls_are_in_the_order_of_firing(self):
        c = self.f["calls"]
        self.assertEqual(c["seq"][()].tolist(), list(range(len(c["seq"]))))
        rows = [(m, h, n) for m, h, n, s in zip(texts(c["module"]), texts(c["hook"]), c["call"][()],
                                                c["step"][()]) if s == 0 and h == b"forward".decode()]
        self.assertEqual([(m, n) for m, _, n in rows], [("embed", 0), ("bn", 0), ("mix", 0), ("mix", 1),
                                                        ("head", 0), ("Net", 0)])

    def test_values_are_the_networks(self):
        with h5py.File(WHERE / "run/checkpoints/last.h5", "r") as c:
            state = {k: c["state_dict"][k][()] for k in c["state_dict"]}
        t = self.f["tensors"]
        x = t["mix/input/0"][0].astype(np.float64)
        want = x @ state["mix.weight"].T.astype(np.float64) + state["mix.bias"]
        np.testing.assert_allclose(t["mix/output/0"][0], want, rtol=1e-4, atol=1e-5)
        grad = t["head/grad_output/0"][0].astype(np.float64)
        x = t["head/input/0"][0].astype(np.float64)
        embed_grad = t["embed/weight_grad/weight"][0].astype(np.float64)
        # The tied weight has both gradients: that of the head and that of the embedding.
        rest = embed_grad - grad.T @ x
        ids = t["embed/input/0"][0]
        lookup = t["embed/grad_output/0"][0].astype(np.float64)
        want = np.zeros_like(rest)
        np.add.at(want, ids, lookup)
        np.testing.assert_allclose(rest, want, rtol=1e-3, atol=1e-5)
        np.testing.assert_array_equal(t["head/weight/weight"][0], state["head.weight"])
        np.testing.assert_array_equal(t["embed/weight/weight"][0], state["head.weight"])

    def test_statistics_are_numpys(self):
        names = texts(self.f["index/stat"])
        edges = self.f["index/bin_edges"][()]
        self.assertTrue((np.diff(edges) > 0).all())
        np.testing.assert_array_equal(edges, -edges[::-1])
        positive = edges[edges > 0]
        np.testing.assert_array_equal(np.exp2(np.round(np.log2(positive))), positive)
        values, histogram = self.f["stats/values"], self.f["stats/histogram"]
        sites = self.sites()
        self.assertEqual(values.shape, (4, len(sites), len(names)))
        self.assertEqual(histogram.shape, (4, len(sites), len(edges) - 1))
        self.assertEqual(histogram.dtype, np.uint32)
        checked = 0
        for i, (module, what, arg, call, _, shape, dtype) in enumerate(sites):
            group = self.f["tensors"][module or "Net"][what]
            rows = [r for r in range(len(group["@step"])) if group["@call"][r] == call]
            for row in rows:
                step = int(group["@step"][row])
                x = record(group, arg, row)
                self.check_statistics(dict(zip(names, values[step, i])), histogram[step, i],
                                      x.astype(np.float64).ravel(), edges, f"{module} {what} {arg}")
                checked += 1
        self.assertGreater(checked, 50)

    def check_statistics(self, got, histogram, x, edges, name):
        want = {"mean": x.mean(), "std": x.std(ddof=1) if len(x) > 1 else np.nan, "min": x.min(),
                "max": x.max(), "l1": abs(x).sum(), "l2": np.sqrt((x * x).sum()), "absmax": abs(x).max(),
                "sum": x.sum(), "nan": 0, "inf": 0, "zero": (x == 0).sum(), "numel": len(x)}
        for key, value in want.items():
            np.testing.assert_allclose(got[key], value, rtol=1e-9, atol=1e-12, err_msg=f"{name} {key}")
        counts, _ = np.histogram(np.clip(x, edges[0], edges[-1]), edges)
        np.testing.assert_array_equal(histogram, counts, err_msg=name)
        for key, share in (("p1", 0.01), ("p50", 0.5), ("p99", 0.99)):
            # From the histogram: right to within the bin that the quantile lies in.
            low = np.quantile(x, share, method="lower")
            high = np.quantile(x, share, method="higher")
            left = edges[max(np.searchsorted(edges, low, "right") - 1, 0)]
            right = edges[min(np.searchsorted(edges, high, "left"), len(edges) - 1)]
            self.assertTrue(left <= got[key] <= right, f"{name} {key}: {got[key]} not in {left, right}")


def main():
    global WHERE
    with tempfile.TemporaryDirectory(prefix="nnm-h5-") as folder:
        WHERE = pathlib.Path(folder)
        (WHERE / "net.yaml").write_text(CONFIG)
        nnm("train", "net.yaml", "--run", "run", "--progress", "none")
        nnm("trace", "run", "--split", "train", "--hook", "forward", "--hook", "full_backward", "--what",
            "input,output,grad_input,grad_output,weight,weight_grad", "--reduce", STATISTICS, "--steps",
            "4", "-o", "trace.h5")
        result = unittest.main(exit=False, verbosity=0, argv=["h5_test"]).result
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
