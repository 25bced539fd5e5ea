#!/usr/bin/env python3
"""Captures of a config: what lies in their traces, that they change no number, and that a run that
goes on keeps them."""

import pathlib
import signal
import subprocess
import tempfile
import time

from program import SMALL_NET, environment, need_h5py, nnm

need_h5py()

import h5py  # noqa: E402
import numpy as np  # noqa: E402

CONFIG = SMALL_NET + """  batch: 8
train:
  max: 12 steps
  loss: cross_entropy(out, y)
  optimizer: SGD(lr=0.1)
  checkpoint: every 5 steps
  eval: every 6 steps
"""
CAPTURES = """hooks:
  - name: watch
    on: [forward, full_backward]
    at: Linear
    capture: {what: [output, grad_output], reduce: [mean, std, l2, histogram]}
    when: {every: 4 steps}
  - {name: kept, on: forward, at: act, capture: {reduce: none, tensor: full}, when: {every: 2 steps}}
  - {name: evals, on: forward, at: act, capture: {reduce: [zero]}, when: {mode: eval}}
"""


def train(folder, run, *words):
    done = nnm("train", "c.yaml", "--run", run, "--threads", 1, *words, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done


def weights(folder, run):
    with h5py.File(folder / run / "checkpoints/last.h5") as f:
        return {k: f["state_dict"][k][()] for k in f["state_dict"]}


def same_numbers(folder):
    train(folder, "plain")
    train(folder, "watched", "--trace", "watch.yaml")
    assert (folder / "plain/metrics.csv").read_bytes() == (folder / "watched/metrics.csv").read_bytes()
    a, b = weights(folder, "plain"), weights(folder, "watched")
    assert a.keys() == b.keys() and all(a[k].tobytes() == b[k].tobytes() for k in a)


def what_is_captured(folder):
    with h5py.File(folder / "watched/traces/train.h5") as f:
        modes = [m.decode() for m in f["index/mode"]]
        steps = list(f["index/step"])
        assert [s for s, m in zip(steps, modes) if m == "train"] == [0, 2, 4, 6, 8, 10], steps
        # Two batches of 12 samples in each of two evaluations.
        assert [s for s, m in zip(steps, modes) if m == "eval"] == [5, 5, 11, 11], steps
        sites = {(s.decode(), w.decode()) for s, w in zip(f["index/site"], f["index/what"])}
        assert sites == {("act", "output"), ("fc1", "output"), ("fc1", "grad_output"),
                         ("fc2", "output"), ("fc2", "grad_output")}, sites
        assert list(f["tensors/act/output/@step"]) == [0, 2, 4, 6, 8, 10]
        stats = [s.decode() for s in f["index/stat"]]
        assert stats == ["mean", "std", "l2", "zero"], stats
        names = [(s.decode(), w.decode()) for s, w in zip(f["index/site"], f["index/what"])]
        cube = f["stats/values"][()]
        at = names.index(("fc1", "output"))
        told = ~np.isnan(cube[:, at, 0])
        assert [s for s, t in zip(steps, told) if t] == [0, 4, 8]
        assert f["hooks"][()].decode().count("\n") == 3
        counts = f["stats/histogram"][()][told][:, at].sum(axis=1)
        assert list(counts) == [64, 64, 64], counts
    with h5py.File(folder / "watched/checkpoints/last.h5") as f:
        assert f["hooks"][()].decode().startswith('- {name: "watch", on: [forward, full_backward]')


def goes_on(folder):
    train(folder, "halved", "--trace", "watch.yaml", "--max", "7 steps")
    # The hooks of the run are kept; naming them again adds none.
    train(folder, "halved", "--resume", "--max", "12 steps", "--trace", "watch.yaml")
    compare(folder, "halved")


def survives_a_kill(folder):
    run = folder / "killed"
    words = ["nnm", "train", "c.yaml", "--run", "killed", "--threads", "1", "--trace", "watch.yaml",
             "--max", "1000000 steps", "-q"]
    process = subprocess.Popen(words, cwd=folder, env=environment(), stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    for _ in range(600):
        time.sleep(0.1)
        if len(list((run / "checkpoints").glob("step-*.h5"))) >= 2:
            break
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (run / "traces/train.h5").exists()
    oldest = min((run / "checkpoints").glob("step-*.h5"))
    step = int(oldest.stem.split("-")[1])
    done = nnm("train", "c.yaml", f"--resume={oldest}", "--threads", 1, "--max", f"{step + 4} steps",
               cwd=folder)
    assert done.returncode == 0, done.stderr
    with h5py.File(run / "traces/train.h5") as f:
        steps = [s for s, m in zip(f["index/step"], f["index/mode"]) if m == b"train"]
        # libhdf5 1.10 loses a file now and then when its process is killed; nnm says so.
        whole = list(range(0, step + 4, 2))
        assert steps == whole or "cannot be read" in done.stderr, (steps[:4], done.stderr)


def compare(folder, run):
    with h5py.File(folder / "watched/traces/train.h5") as a, \
            h5py.File(folder / run / "traces/train.h5") as b:
        for path in ("index/step", "index/mode", "calls/step", "calls/module", "calls/hook",
                     "tensors/act/output/@step", "tensors/act/output/0", "stats/histogram"):
            assert np.array_equal(a[path][()], b[path][()]), path
        assert np.array_equal(a["stats/values"][()], b["stats/values"][()], equal_nan=True)
        assert a["hooks"][()] == b["hooks"][()]


def other_verbs(folder):
    config = CONFIG + "hooks:\n  - {on: forward, at: act, capture: {reduce: [zero, numel]}}\n"
    (folder / "e.yaml").write_text(config)
    for words in (["eval", "e.yaml", "--weights", "plain", "--split", "val"],
                  ["predict", "e.yaml", "--weights", "plain", "--split", "val", "-o", "y.h5"],
                  ["trace", "e.yaml", "--weights", "plain", "--split", "val", "--steps", "9",
                   "--hook", "forward:fc1", "--reduce", "mean", "-o", "plain/traces/trace.h5"]):
        done = nnm(*words, cwd=folder)
        assert done.returncode == 0, done.stderr
        with h5py.File(folder / f"plain/traces/{words[0]}.h5") as f:
            stats = [s.decode() for s in f["index/stat"]]
            sites = [s.decode() for s in f["index/site"]]
            numel = f["stats/values"][()][:, sites.index("act"), stats.index("numel")]
            assert list(numel) == [64, 32], (words[0], numel)
    assert stats == ["zero", "numel", "mean"] and sites == ["fc1", "act"], (stats, sites)


def main():
    with tempfile.TemporaryDirectory(prefix="nnm-cli-") as name:
        folder = pathlib.Path(name)
        (folder / "c.yaml").write_text(CONFIG)
        (folder / "watch.yaml").write_text(CAPTURES)
        for test in (same_numbers, what_is_captured, goes_on, survives_a_kill, other_verbs):
            test(folder)


if __name__ == "__main__":
    main()
