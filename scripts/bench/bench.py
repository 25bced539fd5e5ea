#!/usr/bin/env python3
"""Training steps and forward passes of nnm and PyTorch, interleaved, as a table of ratios.

    PYTHON_WITH_TORCH scripts/bench/bench.py [--threads 1 2] [--rounds 5] [--only mlp] [--list]

A round runs every workload once on each side: the machine's moods hit both. Times are medians and
minima over rounds of the mean step; the first steps of a round are left out on both sides. PyTorch
runs in every mode asked for, the best of which counts: eager, with images channels_last, compiled
(forward passes with their weights frozen). The ratio is PyTorch's time / nnm's: above 1, nnm is
faster.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
NNM = ROOT / "build" / "nnm"


@dataclasses.dataclass
class Workload:
    name: str
    config: str  # beside this file
    overrides: list
    steps: int  # of nnm, a round
    model: str  # of torch_step.py
    batch: int
    input: str = ""  # of a forward pass alone
    images: bool = False  # channels_last is worth a try


LARGE_STEM = ["vars.small=false"]
D384 = ["vars.n_layer=2", "vars.n_head=6", "vars.d=384", "vars.ctx=256", "vars.vocab=256",
        "data.train.random.ids=i64[64, 256] < 256", "data.train.random.targets=i64[64, 256] < 256",
        "data.batch=8"]
GPT2 = ["vars.n_layer=12", "vars.n_head=12", "vars.d=768", "vars.ctx=1024", "vars.vocab=50257"]
IMAGENET = [*LARGE_STEM, "vars.classes=1000"]

WORKLOADS = [
    Workload("MLP, batch 1", "mlp", ["data.batch=1"], 4000, "mlp", 1),
    Workload("MLP, batch 64", "mlp", [], 1000, "mlp", 64),
    Workload("MLP, batch 1024", "mlp", ["data.batch=1024"], 150, "mlp", 1024),
    Workload("MLP, batch 64, Adam", "mlp", ["train.optimizer=Adam(lr=1e-3)"], 1000, "mlp-adam", 64),
    Workload("CNN, batch 64", "cnn", [], 40, "cnn", 64, images=True),
    Workload("ResNet-18, 32x32, 3x3 stem", "resnet", [], 5, "resnet-3x3", 32, images=True),
    Workload("ResNet-18, 32x32, 7x7 stem", "resnet", LARGE_STEM, 20, "resnet-7x7", 32, images=True),
    Workload("GPT 4 x d128, T 64, batch 16", "gpt", [], 20, "gpt", 16),
    Workload("GPT 2 x d384, T 256, batch 8", "gpt", D384, 5, "gpt-d384", 8),
    Workload("forward: MLP, batch 1", "mlp", [], 40000, "mlp-forward", 1, "f32[1, 784]"),
    Workload("forward: MLP, batch 64", "mlp", [], 4000, "mlp-forward", 64, "f32[64, 784]"),
    Workload("forward: ResNet-18, 224, batch 1", "resnet", IMAGENET, 20, "resnet-forward", 1,
             "f32[1, 3, 224, 224]", images=True),
    Workload("forward: ResNet-18, 224, batch 8", "resnet", IMAGENET, 5, "resnet-forward", 8,
             "f32[8, 3, 224, 224]", images=True),
    Workload("forward: GPT-2 124M, T 64", "gpt", GPT2, 5, "gpt2-forward", 1, "i64[1, 64]"),
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


def build_forward(folder):
    """The program of forward.cpp against the library in build/."""
    program = f"{folder}/forward"
    subprocess.run([os.environ.get("CXX", "c++"), "-O2", "-std=c++20", "-I.", "-Ilib",
                    "scripts/bench/forward.cpp", "-o", program, "-Lbuild", "-lnnm", "-lfmt",
                    f"-Wl,-rpath,{ROOT / 'build'}"], cwd=ROOT, check=True)
    return program


def nnm_forward(program, w, threads):
    """Milliseconds a forward pass."""
    done = subprocess.run([program, HERE / f"{w.config}.yaml", w.input, str(threads), str(w.steps),
                           *w.overrides], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"nnm failed: {done.stderr}")
    return float(done.stdout)


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


def measure(w, threads, rounds, modes, program):
    modes = [m for m in modes if w.images or not m.endswith("channels_last")]
    workers = {mode: Torch(w.model, w.batch, threads, mode) for mode in modes}
    times = {key: [] for key in ["nnm", *modes]}
    for _ in range(rounds):
        times["nnm"].append(nnm_forward(program, w, threads) if w.input else
                            nnm_step(w.config, w.overrides, w.steps, threads))
        for mode, worker in workers.items():
            t = worker.step(max(2, w.steps // 4))
            if t is not None:
                times[mode].append(t)
    for worker in workers.values():
        worker.close()
    best = min((m for m in modes if times[m]), key=lambda m: statistics.median(times[m]))
    ours, theirs = times["nnm"], times[best]
    print(f"| {w.name:<32} | {threads} | {statistics.median(theirs):.3g} ({min(theirs):.3g}), {best} "
          f"| {statistics.median(ours):.3g} ({min(ours):.3g}) "
          f"| {statistics.median(theirs) / statistics.median(ours):.2f} "
          f"| {min(theirs) / min(ours):.2f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="workloads whose name has this in it")
    parser.add_argument("--list", action="store_true", help="the workloads, and nothing run")
    parser.add_argument("--modes", nargs="+", help="of PyTorch: also fused",
                        default=["eager", "channels_last", "compile", "compile_channels_last"])
    args = parser.parse_args()
    chosen = [w for w in WORKLOADS if args.only.lower() in w.name.lower()]
    if args.list:
        print("\n".join(w.name for w in chosen))
        return
    for name in ("OPENBLAS_CORETYPE", "OMP_NUM_THREADS"):
        os.environ.pop(name, None)
    print("| workload | threads | PyTorch ms, median (min) | nnm ms | ratio of medians | of minima |\n"
          "|---|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        program = build_forward(folder) if any(w.input for w in chosen) else None
        for threads in args.threads:
            for workload in chosen:
                measure(workload, threads, args.rounds, args.modes, program)


if __name__ == "__main__":
    main()
