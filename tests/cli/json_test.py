#!/usr/bin/env python3
"""The JSON that the reading verbs answer with: shapes, types, and what it says of a small network."""

import json
import pathlib
import sys
import tempfile
import unittest

import program

program.need_h5py()
import h5py  # noqa: E402

NUMBER = (int, float, type(None))  # null: no such number
TENSOR = {"name": str, "shape": list, "dtype": str, "kind": str}
STATE = {**TENSOR, "requires_grad": bool}
MODULE = {"name": str, "type": str, "parameters": int, "output": list, "flops": NUMBER,
          "memory": NUMBER, "alias_of": (str, type(None))}
SITE = {"module": str, "what": str, "arg": str, "hook": str, "shape": list, "dtype": str}


def run(*words, code=0):
    done = program.nnm(*words, cwd=WHERE)
    if done.returncode != code:
        raise AssertionError(f"nnm {' '.join(words)}: exit code {done.returncode}\n{done.stderr}")
    return done


def refuse(constant):
    raise ValueError(f"{constant} is not JSON")


def answer(*words, code=0):
    """One JSON value on stdout, strictly, and nothing else."""
    return json.loads(run(*words, "--format", "json", code=code).stdout, parse_constant=refuse)


class Json(unittest.TestCase):
    def has(self, value, fields):
        for key, kind in fields.items():
            self.assertIn(key, value)
            self.assertIsInstance(value[key], kind, key)

    def test_summary(self):
        s = answer("summary", "tiny.yaml")
        self.has(s, {"repr": str, "parameters": dict, "buffers": int, "bytes": int, "flops": int,
                     "modules": list, "state_dict": list})
        self.assertEqual(s["parameters"], {"total": 67, "trainable": 67})
        self.assertEqual(s["bytes"], 67 * 4)
        self.assertEqual(s["repr"], run("summary", "tiny.yaml").stdout[:len(s["repr"])])
        for m in s["modules"]:
            self.has(m, MODULE)
        self.assertEqual([m["name"] for m in s["modules"]], ["", "fc1", "drop", "fc2"])
        self.assertEqual(s["modules"][1]["output"][0][1:], [8])
        for t in s["state_dict"]:
            self.has(t, STATE)
        self.assertEqual([t["name"] for t in s["state_dict"]],
                         ["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"])
        self.assertEqual({t["kind"] for t in s["state_dict"]}, {"parameter"})

    def test_frozen_and_buffers(self):
        (WHERE / "b.yaml").write_text(
            "nnm: 1\ndefine:\n  N:\n    modules: {bn: BatchNorm1d(4), fc: \"Linear(4, 2)\"}\n"
            "    freeze: [fc.weight]\n    inputs: {x: \"f32[B, 4]\"}\nmodel: N()\n")
        s = answer("summary", "b.yaml")
        self.assertEqual(s["parameters"], {"total": 18, "trainable": 10})
        self.assertEqual(s["buffers"], 9)
        grad = {t["name"]: t["requires_grad"] for t in s["state_dict"]}
        self.assertEqual((grad["fc.weight"], grad["fc.bias"], grad["bn.running_mean"]),
                         (False, True, False))
        self.assertEqual(s["state_dict"][4], {"name": "bn.num_batches_tracked", "shape": [],
                                              "dtype": "i64", "kind": "buffer", "requires_grad": False})

    def test_check(self):
        self.assertEqual(answer("check", "tiny.yaml"), {"ok": True, "diagnostics": []})
        c = answer("check", "tiny.yaml", "--set", "vars.hiden=3", code=2)
        self.assertFalse(c["ok"])
        d = c["diagnostics"][0]
        self.has(d, {"code": str, "message": str, "file": str, "line": int, "column": int,
                     "end_column": int, "help": str, "notes": list})
        self.assertIn("vars.hidden", d["help"])
        text = (WHERE / "tiny.yaml").read_text().replace("Linear(4, hidden)", "Linear(4, hiden)")
        (WHERE / "bad.yaml").write_text(text)
        d = answer("check", "bad.yaml", code=2)["diagnostics"][0]
        line = text.splitlines()[d["line"] - 1]
        self.assertEqual(line[d["column"] - 1:d["end_column"] - 1], "hiden")
        self.assertEqual(d["file"], "bad.yaml")

    def test_eval(self):
        e = answer("eval", "run")
        self.has(e, {"checkpoint": str, "split": str, "samples": int, "loss": float, "metrics": dict})
        self.assertEqual((e["split"], e["samples"], list(e["metrics"])), ("val", 16, ["acc"]))
        self.assertTrue((WHERE / e["checkpoint"]).exists())
        train = answer("train", "tiny.yaml", "--run", "again", "--progress", "none")
        self.assertEqual(train["run"], "again")
        # The evaluation at the end of training is that of nnm eval.
        self.assertEqual(answer("eval", "again")["loss"], train["eval"]["loss"])

    def test_inspect_checkpoint(self):
        i = answer("inspect", "run")
        self.has(i, {"kind": str, "format_version": int, "global_step": int, "epoch": int,
                     "config": str, "modules": list, "tensors": list, "metrics": dict})
        self.assertEqual((i["kind"], i["global_step"], i["epoch"]), ("checkpoint", 12, 2))
        self.assertEqual(i["config"], (WHERE / "tiny.yaml").read_text())
        self.assertEqual(i["modules"], answer("summary", "tiny.yaml")["modules"])
        for t in i["tensors"]:
            self.has(t, {**TENSOR, **dict.fromkeys(["mean", "std", "min", "max", "norm"], NUMBER),
                         "nan": int, "inf": int, "zero": int})
        with h5py.File(WHERE / "run/checkpoints/last.h5") as f:
            w = f["state_dict/fc1.weight"][()].astype("f8")
        t = i["tensors"][0]
        self.assertEqual((t["name"], t["shape"]), ("fc1.weight", [8, 4]))
        for key, value in (("mean", w.mean()), ("std", w.std(ddof=1)), ("min", w.min()),
                           ("max", w.max()), ("norm", (w * w).sum() ** 0.5)):
            self.assertAlmostEqual(t[key], value, 12, key)

    def test_inspect_trace(self):
        i = answer("inspect", "t.h5")
        self.has(i, {"kind": str, "steps": int, "sites": list, "stats": dict})
        self.assertEqual((i["kind"], i["steps"]), ("trace", 2))
        for s in i["sites"]:
            self.has(s, SITE)

    def test_inspect_any(self):
        i = answer("inspect", "plain.h5")
        self.assertEqual(i["kind"], "hdf5")

    def test_trace_list_is_what_is_written(self):
        for words in (["--hook", "forward"], ["--hook", "full_backward"],
                      ["--hook", "forward_pre:Linear", "--hook", "full_backward_pre:fc*"],
                      ["--hook", "forward", "--what", "input,output,weight", "--mode", "train"],
                      ["--hook", "full_backward", "--what", "weight_grad,grad_input", "--input-grad"],
                      ["--hook", "tensor", "--hook", "post_accumulate_grad"],
                      ["--hook", "forward", "--tensor", "slice:1:3"],
                      ["--hook", "forward", "--tensor", "none"],
                      ["--hook", "forward", "--split", "train", "--batch", "5"],
                      ["--hook", "forward", "--split", "train", "--steps", "3", "--every", "2"],
                      ["--hook", "forward", "--input", "plain.h5"]):
            listed = answer("trace", "run", *words, "--list")
            self.has(listed, {"sites": list, "bytes": int})
            for s in listed["sites"]:
                self.has(s, {**SITE, "bytes": int})
            self.assertEqual(listed["bytes"], sum(s["bytes"] for s in listed["sites"]))
            done = answer("trace", "run", *words, "-o", "l.h5")
            self.assertEqual(done["bytes"], listed["bytes"], words)
            written = answer("inspect", "l.h5")["sites"]
            order = ("module", "what", "arg", "call", "hook", "shape", "dtype")
            self.assertEqual([[s[k] for k in order] for s in listed["sites"]],
                             [[s[k] for k in order] for s in written], words)
            with h5py.File(WHERE / "l.h5") as f:
                bytes_ = 0
                for module in f["tensors"] if "tensors" in f else []:
                    for what in f["tensors"][module].values():
                        bytes_ += sum(d.nbytes for k, d in what.items() if not k.startswith("@"))
            self.assertEqual(bytes_, listed["bytes"], words)

    def test_verify(self):
        v = answer("verify", "run", "t.h5")
        self.assertEqual([f["ok"] for f in v["files"]], [True, True])
        data = bytearray((WHERE / "t.h5").read_bytes())
        with h5py.File(WHERE / "t.h5") as f:
            data[f["tensors/fc1/output/0"].id.get_chunk_info(0).byte_offset] ^= 16
        (WHERE / "bad.h5").write_bytes(data)
        v = answer("verify", "bad.h5", code=1)
        self.has(v["files"][0], {"path": str, "ok": bool, "problems": list})
        self.assertEqual(v["files"][0]["problems"][0]["dataset"], "/tensors/fc1/output/0")

    def test_list(self):
        for kind, name in (("modules", "Conv2d"), ("functions", "cross_entropy"),
                           ("optimizers", "AdamW"), ("schedulers", "StepLR")):
            rows = answer("list", kind)
            for row in rows:
                self.assertEqual(list(row), ["name", "signature", "doc"])
                self.assertTrue(row["signature"].startswith(row["name"] + "("), row)
                self.assertTrue(row["doc"], row)
            self.assertIn(name, [row["name"] for row in rows])

    def test_not_a_number_is_null(self):
        t = answer("train", "tiny.yaml", "--run", "nan", "--progress", "none", "--set",
                   "train.optimizer=SGD(lr=1e30)", "--set", "train.nan=ignore")
        self.assertIsNone(t["loss"])
        self.assertIsNone(answer("eval", "nan", code=5)["loss"])
        self.assertIsNone(answer("inspect", "nan")["tensors"][0]["mean"])
        for line in (WHERE / "nan/events.jsonl").read_text().splitlines():
            json.loads(line, parse_constant=refuse)
        json.loads((WHERE / "nan/status.json").read_text(), parse_constant=refuse)

    def test_schema(self):
        schema = json.loads(run("schema").stdout, parse_constant=refuse)
        self.assertIn("model", schema["else"]["required"])  # of a file that extends no other
        self.assertIn("train", schema["properties"])


def main():
    global WHERE
    with tempfile.TemporaryDirectory(prefix="nnm-json-") as folder:
        WHERE = pathlib.Path(folder)
        (WHERE / "tiny.yaml").write_text((program.ROOT / "tests/cli/tiny.yaml").read_text())
        run("train", "tiny.yaml", "--run", "run", "--progress", "none")
        run("trace", "run", "--steps", "2", "-o", "t.h5")
        with h5py.File(WHERE / "plain.h5", "w") as f:
            f["x"] = [[0.5, 1, 2, 3]] * 8
        result = unittest.main(exit=False, verbosity=0, argv=["json_test"]).result
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
