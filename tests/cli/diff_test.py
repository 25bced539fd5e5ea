#!/usr/bin/env python3
"""nnm diff against NumPy: checkpoints, plain HDF5 files of every dtype, traces."""

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

rng = np.random.default_rng(5)
INTEGERS = {2: np.int16, 4: np.int32, 8: np.int64}


def nnm(*words, code=0):
    done = program.nnm(*words, cwd=WHERE)
    if done.returncode != code:
        raise AssertionError(f"nnm {' '.join(map(str, words))}: {done.returncode}\n{done.stderr}")
    return done


def diff(*words, code=0):
    return json.loads(nnm("diff", *words, "--format", "json", code=code).stdout)


def ordered(x):
    """Floats as integers in the order of their values."""
    i = x.ravel().view(INTEGERS[x.dtype.itemsize]).astype(object)
    low = -(1 << (8 * x.dtype.itemsize - 1))
    return np.where(i < 0, low - i, i)


def expected(a, b):
    """What a row must say of two arrays of one dtype without NaN."""
    bits = a.tobytes(), b.tobytes()
    size = a.dtype.itemsize
    changed = sum(bits[0][i:i + size] != bits[1][i:i + size] for i in range(0, len(bits[0]), size))
    x, y = a.astype("f8").ravel(), b.astype("f8").ravel()
    d = np.abs(x - y)
    norm = np.sqrt((x * x).sum())
    row = {"max_abs": d.max(initial=0), "changed": changed / max(a.size, 1)}
    row["rel_l2"] = 0 if not d.any() else np.sqrt((d * d).sum()) / norm
    row["cosine"] = (x * y).sum() / (norm * np.sqrt((y * y).sum())) if changed else 1
    if a.dtype.kind == "f":
        row["ulp"] = int(max(abs(ordered(a) - ordered(b)), default=0))
    elif a.dtype.kind in "iub":
        row["ulp"] = int(max(abs(a.astype(object).ravel() - b.astype(object).ravel()), default=0))
    row["worst"] = [int(i) for i in np.unravel_index(d.argmax(), a.shape)] if changed else None
    return row


class Diff(unittest.TestCase):
    def check_row(self, row, want):
        for key, value in want.items():
            if key in ("ulp", "worst"):
                self.assertEqual(row[key], value, (row["name"], key))
            elif np.isfinite(value):
                self.assertAlmostEqual(row[key], value, delta=1e-12 * max(1, abs(value)), msg=row)
            else:
                self.assertIsNone(row[key])

    def test_every_dtype(self):
        arrays = {}
        for dtype in ("f2", "f4", "f8"):
            x = rng.normal(size=(37, 5, 11)).astype(dtype)
            y = x.copy()
            y.ravel()[::3] *= np.array(1.01, dtype)
            y.ravel()[17] = -y.ravel()[17]
            arrays[dtype] = x, y
        for dtype in ("i1", "u1", "i2", "u2", "i4", "u4", "i8"):
            x = rng.integers(0, 100, size=(3, 700)).astype(dtype)
            y = x.copy()
            y[1, 5:9] += 3
            arrays[dtype] = x, y
        x = rng.integers(0, 2, size=1001).astype(bool)
        arrays["bool"] = x, x ^ (np.arange(1001) == 900)
        arrays["scalar"] = np.array(1.5, "f4"), np.array(2.5, "f4")
        arrays["empty"] = np.zeros((0, 3), "f4"), np.zeros((0, 3), "f4")
        arrays["large"] = (rng.normal(size=(3, 400_000)).astype("f4") for _ in range(2))
        arrays = {k: tuple(v) for k, v in arrays.items()}
        for i, name in enumerate(("a.h5", "b.h5")):
            with h5py.File(WHERE / name, "w") as f:
                for key, pair in arrays.items():
                    f[f"group/{key}"] = pair[i]
        rows = diff("a.h5", "b.h5", code=1)["rows"]
        self.assertEqual({r["name"] for r in rows}, {f"group/{k}" for k in arrays})
        for row in rows:
            self.check_row(row, expected(*arrays[row["name"][6:]]))

    def test_large_unsigned(self):
        """Beyond what i64 holds, and what doubles tell apart."""
        a = np.array([[1, 2**63 - 1, 2**63], [2**63 + 5, 2**64 - 1, 7]], "u8")
        b = a - np.array([[0, 0, 1], [0, 1, 0]], "u8")
        for name, value in (("ua.h5", a), ("ub.h5", b), ("uc.h5", a), ("ud.h5", a.astype("f8"))):
            with h5py.File(WHERE / name, "w") as f:
                f["x"] = value
        self.assertTrue(diff("ua.h5", "uc.h5")["equal"])
        self.check_row(diff("ua.h5", "ub.h5", code=1)["rows"][0], expected(a, b) | {"max_abs": 1, "rel_l2":
                       2**0.5 / np.sqrt((a.astype("f8")**2).sum()), "worst": [0, 2]})
        self.assertTrue(diff("ua.h5", "ub.h5", "--atol", "1")["equal"])
        self.assertTrue(diff("ua.h5", "ub.h5", "--ulp", "1")["equal"])
        self.assertTrue(diff("ua.h5", "ud.h5", "--atol", "0")["equal"])
        x = json.loads(nnm("inspect", "ua.h5", "--format", "json").stdout)["root"]["children"][0]
        self.assertEqual((x["dtype"], x["min"], x["max"]), ("u64", 1, 2.0**64))

    def test_checkpoints(self):
        with h5py.File(WHERE / "one/checkpoints/last.h5") as f, \
                h5py.File(WHERE / "two/checkpoints/last.h5") as g:
            a, b = ({k: d[()] for k, d in x["state_dict"].items()} for x in (f, g))
        answer = diff("one", "two", code=1)
        self.assertFalse(answer["equal"])
        self.assertIsNone(answer["first"])
        self.assertEqual([r["name"] for r in answer["rows"]], list(a))
        for row in answer["rows"]:
            self.check_row(row, expected(a[row["name"]], b[row["name"]]))
        answer = diff("one", "one/checkpoints/last.h5")
        self.assertTrue(answer["equal"])
        self.assertTrue(all(r["equal"] and r["changed"] == 0 for r in answer["rows"]))

    def test_tolerances(self):
        x = np.array([1, -2, 0, 1e-8, 100], "f4")
        y = np.array([1.001, -2.002, -0.0, 0, 100.05], "f4")
        for name, v in (("ta.h5", x), ("tb.h5", y)):
            with h5py.File(WHERE / name, "w") as f:
                f["x"] = v
        for rtol, atol in ((1e-3, 0), (1e-4, 0), (0, 0.05), (0, 0.051), (1e-3, 1e-7),
                           (9.98e-4, 1e-7)):
            larger = np.maximum(abs(x.astype("f8")), abs(y.astype("f8")))
            want = bool((abs(x.astype("f8") - y) <= atol + rtol * larger).all())
            for files in (("ta.h5", "tb.h5"), ("tb.h5", "ta.h5")):
                got = diff(*files, "--rtol", rtol, "--atol", atol, code=0 if want else 1)
                self.assertEqual(got["equal"], want)
        self.assertTrue(diff("ta.h5", "tb.h5", "--ulp", 2**31)["equal"])
        self.assertFalse(diff("ta.h5", "tb.h5", "--ulp", 3, code=1)["equal"])

    def test_what_is_not_a_number(self):
        nan, other = np.array([0x7FC00000, 0x7FC00001], "u4").view("f4")
        rows = {"same": ([nan, np.inf, 1], [nan, np.inf, 1], True),
                "payload": ([nan], [other], False), "zero": ([0.0], [-0.0], False),
                "one": ([nan, 1], [2, 1], False), "infinity": ([np.inf, 1], [3, 1], False)}
        for i, name in enumerate(("na.h5", "nb.h5")):
            with h5py.File(WHERE / name, "w") as f:
                for key, row in rows.items():
                    f[key] = np.array(row[i], "f4")
        got = {r["name"]: r for r in diff("na.h5", "nb.h5", code=1)["rows"]}
        for key, row in rows.items():
            self.assertEqual(got[key]["equal"], row[2], key)
        self.assertEqual(got["same"]["max_abs"], 0)
        self.assertEqual([got["zero"][k] for k in ("max_abs", "ulp", "changed")], [0, 0, 1])
        self.assertIsNone(got["one"]["max_abs"])
        self.assertEqual((got["one"]["worst"], got["infinity"]["worst"]), ([0], [0]))
        self.assertTrue(diff("na.h5", "nb.h5", "--atol", 0, "--select", "zero,same")["equal"])

    def test_traces(self):
        one, two = ({}, {})
        for seen, name in ((one, "t1.h5"), (two, "t2.h5")):
            with h5py.File(WHERE / name) as f:
                for m in f["tensors"]:
                    for what in f["tensors"][m]:
                        seen[m, what] = f["tensors"][m][what]["0"][0]
                calls = [m.decode() for m in f["calls/module"][()]]
        answer = diff("t1.h5", "t2.h5", code=1)
        norm = np.linalg.norm
        error = {k: norm(v.astype("f8") - two[k]) / norm(v.astype("f8")) for k, v in one.items()}
        names = [(m, w) for m in calls for w in ("input", "output")]
        self.assertEqual([(r["module"], r["what"]) for r in answer["rows"]], names)
        first = next(k for k in names if not np.array_equal(one[k], two[k]))
        self.assertEqual((answer["first"]["module"], answer["first"]["what"]), first)
        self.assertEqual(first, ("fc2", "output"))
        self.assertEqual([answer["first"][k] for k in ("step", "call", "arg")], [0, 0, "0"])
        for r in answer["rows"]:
            self.assertAlmostEqual(r["rel_l2"], error[r["module"], r["what"]], 12)
            added = error[r["module"], "output"] - error[r["module"], "input"]
            self.assertAlmostEqual(r["added"], added, 12)

    def test_memory(self):
        """A tensor of 400 MB is never in memory."""
        for name in ("la.h5", "lb.h5"):
            with h5py.File(WHERE / name, "w") as f:
                f["x"] = np.zeros((2, 50_000_000), "f4")
        code = ("import resource, subprocess\n"
                "subprocess.run(['nnm', 'diff', 'la.h5', 'lb.h5'], check=True)\n"
                "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)")
        done = subprocess.run([sys.executable, "-c", code], cwd=WHERE, env=program.environment(),
                              capture_output=True, text=True, check=True)
        equal, kib = done.stdout.splitlines()
        self.assertEqual(equal, "equal bit for bit: 1 tensor")
        if "asan" not in str(program.BUILD):
            self.assertLess(int(kib), 150_000)


def main():
    global WHERE
    with tempfile.TemporaryDirectory(prefix="nnm-diff-") as folder:
        WHERE = pathlib.Path(folder)
        (WHERE / "tiny.yaml").write_text((program.ROOT / "tests/cli/tiny.yaml").read_text())
        nnm("train", "tiny.yaml", "--run", "one", "-q")
        nnm("train", "tiny.yaml", "--run", "two", "-q", "--set", "train.seed=1")
        # The same network, but for the weights of its last layer.
        with h5py.File(WHERE / "one/checkpoints/last.h5") as f, h5py.File(WHERE / "w.h5", "w") as g:
            for key, value in f["state_dict"].items():
                g[key] = value[()] + (0.25 if key == "fc2.weight" else 0)
        for name, weights in (("t1.h5", "one"), ("t2.h5", "w.h5")):
            nnm("trace", "one", "--weights", weights, "--what", "input,output", "-o", name, "-q")
        result = unittest.main(exit=False, verbosity=0, argv=["diff_test"]).result
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
