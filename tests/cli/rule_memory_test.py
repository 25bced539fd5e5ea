#!/usr/bin/env python3
"""A run that goes on finds what an uninterrupted one finds: what rules remember is in checkpoints."""

import json
import pathlib
import tempfile

from program import SMALL_NET, need_h5py, nnm

need_h5py()

import h5py  # noqa: E402

CONFIG = SMALL_NET + """  batch: {train: 8, val: 12}
train:
  max: 20 steps
  loss: cross_entropy(out, y)
  optimizer: SGD(lr=1e-9)
  accumulate: 2
  checkpoint: {every: 1 step, keep: all}
  eval: every 3 steps
hooks:
  - {name: large, on: forward, at: fc1, rule: exploding_tensor(threshold=0.1), action: note, patience: 7}
  - {name: loss, rule: loss_not_decreasing(num_steps=3), action: note}
  - {name: still, on: forward, at: act, rule: unchanged_tensor(atol=1e9), action: note, patience: 4}
  - {name: evals, on: forward, at: act, rule: unchanged_tensor(atol=1e-3), action: note, patience: 2,
     when: {mode: eval}}
  - {name: weights, rule: weight_update_ratio, action: warn, patience: 6, when: {every: 2 steps}}
  - {name: early, on: forward, at: fc1, output: output * 1, when: {stop: 2}}
  - {name: once, on: forward, at: fc1, capture: {reduce: [mean]}, when: {stop: 1}}
"""


def train(folder, run, *words, code=0):
    done = nnm("train", "c.yaml", "--run", run, "--threads", 1, "-q", *words, cwd=folder)
    assert done.returncode == code, (done.returncode, done.stderr)
    return done


def rules(folder, run):
    lines = [json.loads(line) for line in (folder / run / "events.jsonl").read_text().splitlines()]
    for event in lines:
        del event["time"]
    return [event for event in lines if event["event"] == "rule"]


def resumed(folder, at):
    run = f"half{at}"
    train(folder, run, "--max", f"{at} steps")
    done = train(folder, run, "--resume", "--max", "20 steps", "--strict")
    assert "never fired" not in done.stderr, done.stderr
    return rules(folder, run)


def main():
    with tempfile.TemporaryDirectory(prefix="nnm-cli-") as name:
        folder = pathlib.Path(name)
        (folder / "c.yaml").write_text(CONFIG)
        train(folder, "whole", "--strict")
        whole = rules(folder, "whole")
        assert {e["hook"] for e in whole} == {"large", "loss", "still", "evals", "weights"}, whole
        for at in (1, 2, 4, 5, 10, 11):
            assert resumed(folder, at) == whole, at
        # From a checkpoint within a run, whose later events are cut.
        train(folder, "half10", "--resume=half10/checkpoints/step-00000003.h5", "--max", "20 steps")
        assert rules(folder, "half10") == whole
        train(folder, "proved", "--verify-resume")
        with h5py.File(folder / "whole/checkpoints/last.h5") as f:
            assert f["rules/0"].attrs["hook"].startswith(b'{name: "large"')
            assert f["rules/0/places/0"].attrs["bad"] == 40
            assert "before" in f["rules/2/places/0"]
        done = nnm("verify", "whole/checkpoints/last.h5", cwd=folder)
        assert done.returncode == 0, done.stdout


if __name__ == "__main__":
    main()
