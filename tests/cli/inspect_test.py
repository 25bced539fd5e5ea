#!/usr/bin/env python3
"""nnm inspect against h5py: statistics of traces and checkpoints; pictures on a terminal alone."""

import csv
import io
import json
import os
import pathlib
import pty
import subprocess
import sys
import tempfile
import unittest

import program

program.need_h5py()
import h5py  # noqa: E402
import numpy as np  # noqa: E402

BARS = "▁▂▃▄▅▆▇█"


def nnm(*words, code=0):
    done = program.nnm(*words, cwd=WHERE)
    if done.returncode != code:
        raise AssertionError(f"nnm {' '.join(map(str, words))}: {done.returncode}\n{done.stderr}")
    return done.stdout


def inspect(*words):
    return json.loads(nnm("inspect", *words, "--format", "json"))


def table(*words):
    return list(csv.DictReader(io.StringIO(nnm("inspect", *words, "--format", "csv"))))


def on_terminal(*words, **variables):
    """What a terminal as stdout gets."""
    env = {**program.environment(), "TERM": "xterm", **variables}
    ours, theirs = pty.openpty()
    process = subprocess.Popen(["nnm", *words], cwd=WHERE, env=env, stdin=subprocess.DEVNULL,
                               stdout=theirs, stderr=subprocess.DEVNULL)
    os.close(theirs)
    seen = program.read_terminal(ours)
    assert process.wait(timeout=program.TIMEOUT) == 0
    return seen.decode()


class Inspect(unittest.TestCase):
    def test_trace(self):
        answer = inspect("t.h5")
        with h5py.File(WHERE / "t.h5") as f:
            names = [s.decode() for s in f["index/stat"][()]]
            values, bins = f["stats/values"][()], f["stats/histogram"][()]
            edges, steps = f["index/bin_edges"][()], f["index/step"][()]
            sites = [(f["index/site"][i].decode(), f["index/what"][i].decode())
                     for i in range(values.shape[1])]
        self.assertEqual(answer["bin_edges"], list(edges))
        self.assertEqual([(s["module"], s["what"]) for s in answer["sites"]], sites)
        for i, (module, what) in enumerate(sites):
            of_site = answer["stats"][f"{module}/{what}/0"]
            self.assertEqual(list(of_site), names + ["histogram"])
            for k, name in enumerate(names):
                self.assertEqual(of_site[name], list(values[:, i, k]))
            self.assertEqual(of_site["histogram"], bins[:, i].tolist())
        rows = table("t.h5")
        self.assertEqual(len(rows), len(steps) * len(sites))
        for row, (t, i) in zip(rows, np.ndindex(len(steps), len(sites))):
            self.assertEqual((row["step"], row["module"]), (str(steps[t]), sites[i][0]))
            for k, name in enumerate(names):
                self.assertEqual(float(row[name]), values[t, i, k])

    def test_selectors_of_traces(self):
        def chosen(select, trace="all.h5"):
            return {(s["module"], s["what"], s["arg"]) for s in
                    inspect(trace, "--select", select)["sites"]}
        every = chosen("**")
        self.assertEqual(len(every), 12)
        self.assertEqual(chosen("Linear"), {s for s in every if s[0].startswith("fc")})
        self.assertEqual(chosen("fc2.output"), {("fc2", "output", "0")})
        self.assertEqual(chosen("Linear.input, drop"),
                         {("fc1", "input", "0"), ("fc2", "input", "0"),
                          ("drop", "input", "0"), ("drop", "output", "0")})
        self.assertEqual(chosen("*.bias"), {("fc1", "weight", "bias"), ("fc2", "weight", "bias")})
        self.assertEqual(chosen("Net"), {s for s in every if s[0] == "Net"})
        done = program.nnm("inspect", "all.h5", "--select", "fc3", cwd=WHERE)
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn("did you mean `fc", done.stderr)

    def test_checkpoint(self):
        with h5py.File(WHERE / "run/checkpoints/last.h5") as f:
            state = {k: v[()] for k, v in f["state_dict"].items()}
        rows = {row["name"]: row for row in table("run")}
        self.assertEqual(list(rows), list(state))
        for name, x in state.items():
            row, x = rows[name], x.astype("f8")
            self.assertEqual(row["shape"], str(list(x.shape)))
            for key, value in (("mean", x.mean()), ("std", x.std(ddof=1)), ("min", x.min()),
                               ("max", x.max()), ("norm", np.linalg.norm(x))):
                self.assertAlmostEqual(float(row[key]), value, 12)
        for t in inspect("run")["tensors"]:
            edges = inspect("run")["bin_edges"]
            counts, _ = np.histogram(state[t["name"]], bins=[-np.inf, *edges[1:-1], np.inf])
            self.assertEqual(t["histogram"], counts.tolist())
        text = nnm("inspect", "run")
        self.assertIn("\nNet\n  fc1 (Linear)\n  drop (Dropout)\n  fc2 (Linear)\n\nname ", text)
        self.assertIn("4 tensors, 67 elements, 268 B\noptimizer Adam\n", text)

    def test_any_file(self):
        rng = np.random.default_rng(0)
        x = rng.normal(size=(700, 900))
        with h5py.File(WHERE / "any.h5", "w") as f:
            f["deep/er/x"], f["deep/n"], f["text"] = x, np.arange(5), np.bytes_("abc")
            f["deep"].attrs["lr"] = 0.5
            f.create_group("empty")
            f["bad"] = np.array([np.nan, np.inf, 0, 1])
        rows = {row["dataset"]: row for row in table("any.h5")}
        self.assertEqual(list(rows), ["/bad", "/deep/er/x", "/deep/n", "/empty", "/text"])
        self.assertAlmostEqual(float(rows["/deep/er/x"]["std"]), x.std(ddof=1), 12)
        self.assertEqual([rows["/bad"][k] for k in ("nan", "inf", "zero", "mean")],
                         ["1", "1", "1", "0.5"])
        self.assertEqual(rows["/empty"]["dtype"], "group")
        self.assertIn("/deep   lr         0.5", nnm("inspect", "any.h5"))
        whole = inspect("any.h5")
        bad = next(c for c in whole["root"]["children"] if c["name"] == "bad")
        # Zero and one, and no bin for what is not finite.
        self.assertEqual([(whole["bin_edges"][i], n) for i, n in enumerate(bad["histogram"]) if n],
                         [(-2.0 ** -24, 1), (1.0, 1)])
        for select in ("deep.**", "/deep/**", "deep/er/x, /deep/n"):
            self.assertEqual([r["dataset"] for r in table("any.h5", "--select", select)],
                             ["/deep/er/x", "/deep/n"])

    def test_pictures_on_a_terminal_only(self):
        seen = on_terminal("inspect", "t.h5")
        lines = seen.splitlines()
        self.assertTrue(any(line.strip() == "fc1 (Linear)" for line in lines), seen)
        row = next(line for line in lines if "· output 0" in line)
        self.assertGreaterEqual(sum(c in BARS for c in row), 6)  # a histogram, four steps
        self.assertIn("mean over steps", seen)
        # Of a tensor that was kept, the histogram is worked out.
        self.assertTrue(any(c in BARS for c in on_terminal("inspect", "all.h5")))
        # So it is of the tensors of checkpoints and other files.
        line = next(x for x in on_terminal("inspect", "run").splitlines() if x.startswith("fc1.weight"))
        self.assertGreaterEqual(sum(c in BARS for c in line), 4)
        self.assertFalse(any(c in BARS for c in nnm("inspect", "run")))
        plain = nnm("inspect", "t.h5")
        self.assertFalse(any(c in BARS for c in plain))
        for variables in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
            seen = on_terminal("inspect", "t.h5", **variables)
            self.assertEqual(seen.replace("\r\n", "\n"), plain)

    def test_unfinished(self):
        """What a dead process left is shown as far as it goes."""
        with h5py.File(WHERE / "t.h5") as f, h5py.File(WHERE / "t.h5.part", "w") as g:
            for key in f:
                f.copy(key, g)
            g.attrs.update(f.attrs)
            g.attrs["complete"] = 0
        done = program.nnm("inspect", "t.h5.part", cwd=WHERE)
        self.assertEqual((done.returncode, done.stdout), (0, nnm("inspect", "t.h5")))
        self.assertIn("was not finished", done.stderr)


def main():
    global WHERE
    with tempfile.TemporaryDirectory(prefix="nnm-inspect-") as folder:
        WHERE = pathlib.Path(folder)
        (WHERE / "tiny.yaml").write_text((program.ROOT / "tests/cli/tiny.yaml").read_text())
        nnm("train", "tiny.yaml", "--run", "run", "-q")
        nnm("trace", "run", "--reduce", "mean,std,zero,histogram", "--tensor", "none", "--split",
            "train", "--steps", "4", "-o", "t.h5", "-q")
        nnm("trace", "run", "--what", "input,output,weight", "-o", "all.h5", "-q")
        result = unittest.main(exit=False, verbosity=0, argv=["inspect_test"]).result
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
