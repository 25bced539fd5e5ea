#!/usr/bin/env python3
"""Whole training steps of nnm and PyTorch, interleaved, as a table of ratios.

    PYTHON_WITH_TORCH scripts/bench/bench.py [--threads 1 2] [--rounds 5] [--only mlp]

A round runs every workload once on each side: the machine's moods hit both. Times are medians and
minima over rounds of the mean step; the first steps of a round are left out on both sides. The
ratio is PyTorch's time / nnm's: above 1, nnm is faster.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
NNM = HERE.parent.parent / "build" / "nnm"

# name, config, overrides, steps a round, PyTorch model, batch
WORKLOADS = [
    ("MLP, batch 1", "mlp", ["data.batch=1"], 4000, "mlp", 1),
    ("MLP, batch 64", "mlp", [], 1000, "mlp", 64),
    ("MLP, batch 1024", "mlp", ["data.batch=1024"], 150, "mlp", 1024),
    ("MLP, batch 64, Adam", "mlp", ["train.optimizer=Adam(lr=1e-3)"], 1000, "mlp-adam", 64),
    ("CNN, batch 64", "cnn", [], 40, "cnn", 64),
    ("GPT 4 x d128, T 64, batch 16", "gpt", [], 20, "gpt", 16),
]


def nnm_step(config, overrides, steps, threads):
    """Milliseconds a step: from the logged time at a fifth of the run to that at its end."""
    log = max(1, steps // 10)
    with tempfile.TemporaryDirectory() as folder:
        command = [NNM, "train", HERE / f"{config}.yaml", "--run", f"{folder}/run", "--threads",
                   str(threads), "--max", f"{steps} steps", "--progress", "none", "-q"]
        for o in [*overrides, f"train.log=every {log} steps"]:
            command += ["--set", o]
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
        if done.returncode:
            sys.exit(f"nnm failed: {done.stderr}")
        events = [json.loads(l) for l in open(f"{folder}/run/events.jsonl")]
    times = [(e["step"], e["time"]) for e in events if e["event"] == "step"]
    first = next(t for t in times if t[0] >= 2 * log)
    last = times[-1]
    return 1000 * (last[1] - first[1]) / (last[0] - first[0])


class Torch:
    """A PyTorch process that trains on request; `used` is its processor time, milliseconds a step."""

    def __init__(self, model, batch, threads, mode):
        self.process = subprocess.Popen(
            [sys.executable, HERE / "torch_step.py", model, str(batch), str(threads), mode],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def step(self, steps):
        self.process.stdin.write(f"{steps}\n")
        self.process.stdin.flush()
        wall, self.used = (self.process.stdout.readline().split() + [None, None])[:2]
        return float(wall) if wall else None

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def measure(name, config, overrides, steps, model, batch, threads, rounds, modes):
    workers = {mode: Torch(model, batch, threads, mode) for mode in modes}
    times = {key: [] for key in ["nnm", *modes]}
    for _ in range(rounds):
        times["nnm"].append(nnm_step(config, overrides, steps, threads))
        for mode, worker in workers.items():
            t = worker.step(max(2, steps // 4))
            if t is not None:
                times[mode].append(t)
    for worker in workers.values():
        worker.close()
    best = min((m for m in modes if times[m]), key=lambda m: statistics.median(times[m]))
    ours, theirs = times["nnm"], times[best]
    print(f"{name:<30} {threads:>2}  {statistics.median(theirs):9.3f} ({min(theirs):9.3f}) {best:<14}"
          f"{statistics.median(ours):9.3f} ({min(ours):9.3f})   "
          f"{statistics.median(theirs) / statistics.median(ours):6.2f} {min(theirs) / min(ours):6.2f}",
          flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="")
    parser.add_argument("--modes", nargs="+", default=["eager", "channels_last"],
                        help="of eager, channels_last, fused, compile")
    args = parser.parse_args()
    for name in ("OPENBLAS_CORETYPE", "OMP_NUM_THREADS"):
        os.environ.pop(name, None)
    print(f"{'workload':<30} {'T':>2}  {'PyTorch ms, median (min)':<34} {'nnm ms, median (min)':<22}"
          f"  ratio (of minima)")
    for threads in args.threads:
        for workload in WORKLOADS:
            if args.only.lower() in workload[0].lower():
                measure(*workload, threads, args.rounds, args.modes)


if __name__ == "__main__":
    main()
