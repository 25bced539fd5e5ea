#!/usr/bin/env python3
"""Training steps a second on one GPU, nnm and PyTorch interleaved.

    PYTHON_WITH_TORCH scripts/bench/cuda_bench.py [--nnm build/bundle/nnm] [--rounds 5]
        [--seconds 1] [--only mlp] [--out FILE.tsv]

Both train the same networks in f32 without TF32 on batches of random samples (128; of the GPT 16 of
64 tokens); PyTorch finds them on the GPU, nnm's loader prepares each batch on the CPU and copies it. PyTorch runs eager with the
fused optimizer, compiled (reduce-overhead), and eager as one CUDA graph of the whole step. A round
runs every one once; shown are medians over rounds with minimum and maximum, and what nnm's median is
over each of the others; nnm runs eager and with NNM_CUDA_GRAPHS=1. nnm's times are those of its log,
from a fifth of a run to its end.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import torch
import torch.nn.functional as F
import torch_step
from torch import nn

HERE = pathlib.Path(__file__).resolve().parent
BATCH = 128
WARM_UP = 20


def images(*shape):
    return lambda n: (torch.randn(n, BATCH, *shape), torch.randint(10, (n, BATCH)))


def mlp():
    net = nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(),
                        nn.Linear(512, 10))
    return net, torch.optim.AdamW, {"lr": 1e-3}, images(784)


def cnn():
    net = nn.Sequential(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
                        nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                        nn.Linear(3136, 128), nn.ReLU(), nn.Linear(128, 10))
    return net, torch.optim.SGD, {"lr": 0.01, "momentum": 0.9}, images(1, 28, 28)


def gpt():
    def tokens(n):
        return torch.randint(65, (n, 16, 64)), torch.randint(65, (n, 16, 64))

    return torch_step.GPT(), torch.optim.AdamW, {"lr": 1e-3, "weight_decay": 0.1}, tokens


# Name, PyTorch's network, nnm's config beside this file and what is set in it.
WORKLOADS = {"B1 MLP 784-512-512-10, AdamW": (mlp, "mlp512.yaml", []),
             "B2 CNN of MNIST, SGD": (cnn, "cnn.yaml", [f"data.batch={BATCH}",
                                                        "data.train.random.x=f32[8192, 1, 28, 28]",
                                                        "data.train.random.y=i64[8192] < 10"]),
             "B3 GPT 4 x d128, AdamW": (gpt, "gpt.yaml", [])}


class Torch:
    """A network in one of PyTorch's modes; `rate` is its steps a second."""

    def __init__(self, make, mode):
        torch.manual_seed(0)
        self.net, optimizer, options, batches = make()
        self.net.cuda()
        self.x, self.y = (t.cuda() for t in batches(64))
        graph = mode == "graph"
        if graph and optimizer is torch.optim.AdamW:
            options = {**options, "capturable": True}
        self.optimizer = optimizer(self.net.parameters(), fused=True, **options)
        forward = self.net
        if mode == "compile":
            forward = torch.compile(self.net, mode="reduce-overhead")
        self.loss = lambda x, y: F.cross_entropy(forward(x).flatten(0, -2), y.flatten())
        self.step = self.graphed() if graph else self.eager

    def eager(self, i):
        self.optimizer.zero_grad()
        self.loss(self.x[i % 64], self.y[i % 64]).backward()
        self.optimizer.step()

    def graphed(self):
        x, y = self.x[0].clone(), self.y[0].clone()

        def whole():
            self.optimizer.zero_grad()
            self.loss(x, y).backward()
            self.optimizer.step()

        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                whole()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        self.optimizer.zero_grad()
        with torch.cuda.graph(graph):
            whole()

        def step(i):
            x.copy_(self.x[i % 64])
            y.copy_(self.y[i % 64])
            graph.replay()

        return step

    def rate(self, seconds):
        for i in range(WARM_UP):
            self.step(i)
        torch.cuda.synchronize()
        begin, steps = time.perf_counter(), 0
        while time.perf_counter() - begin < seconds:
            for i in range(50):
                self.step(i)
            torch.cuda.synchronize()
            steps += 50
        return steps / (time.perf_counter() - begin)


def nnm_rate(nnm, config, overrides, steps, graphs=False):
    log = max(1, steps // 10)
    with tempfile.TemporaryDirectory() as folder:
        command = [nnm, "train", HERE / config, "--run", f"{folder}/run", "--device", "cuda", "--max",
                   f"{steps} steps", "--progress", "none", "-q"]
        for o in [*overrides, f"train.log=every {log} steps"]:
            command += ["--set", o]
        # The libraries that PyTorch uses, whichever Python is in the PATH.
        libraries = ":".join(map(str, pathlib.Path(torch.__file__).parent.parent.glob("nvidia/*/lib")))
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder,
                              env={"NNM_CUDA_LIBS": libraries, **os.environ,
                                   "NNM_CUDA_GRAPHS": str(int(graphs))})
        if done.returncode:
            sys.exit(f"nnm failed: {done.stderr}")
        events = [json.loads(line) for line in open(f"{folder}/run/events.jsonl")]
    times = [(e["step"], e["time"]) for e in events if e["event"] == "step"]
    first, last = next(t for t in times if t[0] >= 2 * log), times[-1]
    return (last[0] - first[0]) / (last[1] - first[1])


def measure(name, workload, o):
    make, config, overrides = workload
    modes = {mode: Torch(make, mode) for mode in ("eager", "compile", "graph")}
    # So many steps that a round of nnm takes about as long as one of PyTorch.
    steps = max(100, int(nnm_rate(o.nnm, config, overrides, 300) * o.seconds))
    rates = {key: [] for key in ("nnm", "nnm, graphs", *modes)}
    for _ in range(o.rounds):
        rates["nnm"].append(nnm_rate(o.nnm, config, overrides, steps))
        rates["nnm, graphs"].append(nnm_rate(o.nnm, config, overrides, steps, graphs=True))
        for mode, worker in modes.items():
            rates[mode].append(worker.rate(o.seconds))
    ours = statistics.median(rates["nnm"])
    rows = []
    for key, r in rates.items():
        rows.append((name, key, f"{statistics.median(r):.0f}", f"{min(r):.0f}", f"{max(r):.0f}",
                     f"{ours / statistics.median(r):.2f}"))
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--nnm", default=HERE.parent.parent / "build" / "bundle" / "nnm",
                        type=lambda p: pathlib.Path(p).resolve())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each measurement")
    parser.add_argument("--only", default="", help="workloads whose name has this in it")
    parser.add_argument("--out", help="the table as TSV")
    o = parser.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    print(f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}", flush=True)
    rows = [("workload", "program", "steps/s", "min", "max", "nnm is so many times as fast")]
    for name, workload in WORKLOADS.items():
        if o.only.lower() in name.lower():
            rows += measure(name, workload, o)
    for row in rows:
        print("\t".join(row))
    if o.out:
        pathlib.Path(o.out).write_text("".join("\t".join(row) + "\n" for row in rows))


if __name__ == "__main__":
    main()
