#!/usr/bin/env python3
"""nnm and PyTorch on one GPU, in turns.

    PYTHON_WITH_TORCH scripts/bench/cuda_bench.py [--nnm build/bundle/nnm] [--rounds 5]
        [--seconds 1] [--only B6 ...] [--modes eager ...] [--list] [--tiny] [--out FILE.tsv]

B1 to B8 are whole training steps: MLPs, CNNs, ResNets, GPTs and an LSTM, in f32 without TF32 or in
bf16, on batches of random samples; PyTorch finds them on the GPU, nnm's loader prepares each batch
on the CPU and copies it. PyTorch runs eager with the fused optimizer, compiled (reduce-overhead and
max-autotune-no-cudagraphs), and eager as one CUDA graph of the whole step; nnm with
NNM_CUDA_GRAPHS=1 and without. B9 and B10 are kernels, B11 is the time from a program's start to its
first step, B12 what hooks cost, B13 the peak of memory (cuda_parts.py).

A round runs every one once; a row has the median over rounds, minimum and maximum, and how many
times as good nnm is: the better of its ways over the row's. nnm's times are those of its log, from a
fifth of a run to its end. --tiny shows on any machine that all of it works, with the emulated GPU
(NNM_CUDA_PLUGIN=build/libnnm_cuda_emulated.so) and PyTorch on the CPU: its numbers say nothing.
"""

import argparse
import pathlib
import statistics
import time

import cuda_nets
import cuda_parts
import torch
import torch.nn.functional as F
from cuda_nnm import Nnm

HERE = pathlib.Path(__file__).resolve().parent
WARM_UP = 20
HEAD = ("id", "workload", "program", "what", "median", "min", "max", "nnm is so many times as good")
MODES = {"eager": None, "compile": "reduce-overhead", "autotune": "max-autotune-no-cudagraphs", "graph": None}


class Torch:
    """A network in one of PyTorch's modes; `rate` is its steps a second."""

    def __init__(self, net, mode, device):
        torch.manual_seed(0)
        self.net, self.device, options = net, device, net.options
        model = net.make().to(device)
        self.x, self.y = net.data(device)
        if net.images:
            model = model.to(memory_format=torch.channels_last)
        if mode == "graph" and net.optimizer is torch.optim.AdamW:
            options = {**options, "capturable": True}
        self.optimizer = net.optimizer(model.parameters(), fused=True, **options)
        self.forward = torch.compile(model, mode=MODES[mode]) if MODES[mode] else model
        self.step = self.graphed() if mode == "graph" else self.eager

    def loss(self, x, y):
        if self.net.images:
            x = x.contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device, torch.bfloat16, enabled=self.net.precision == "bf16"):
            out = self.forward(x)
            if self.net.loss == "mse_loss":
                return F.mse_loss(out, y)
            return F.cross_entropy(out.flatten(0, -2), y.flatten())

    def whole(self, x, y):
        self.optimizer.zero_grad()
        self.loss(x, y).backward()
        self.optimizer.step()

    def eager(self, i):
        self.whole(self.x[i % len(self.x)], self.y[i % len(self.y)])

    def graphed(self):
        x, y = self.x[0].clone(), self.y[0].clone()
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                self.whole(x, y)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        self.optimizer.zero_grad()
        with torch.cuda.graph(graph):
            self.whole(x, y)

        def step(i):
            x.copy_(self.x[i % len(self.x)])
            y.copy_(self.y[i % len(self.y)])
            graph.replay()

        return step

    def rate(self, seconds, warm_up=WARM_UP):
        for i in range(warm_up):
            self.step(i)
        cuda_parts.wait()
        begin, steps, few = time.perf_counter(), 0, 1
        while time.perf_counter() - begin < seconds:
            for i in range(few):
                self.step(i)
            cuda_parts.wait()
            steps += few
            few = 50 if steps / (time.perf_counter() - begin) > 500 else few
        return steps / (time.perf_counter() - begin)


def training(net, nnm, o):
    """Rows of one network."""
    workers, peak = {}, 0
    for mode in o.modes if o.device == "cuda" else ["eager"]:
        try:
            workers[mode] = Torch(net, mode, o.device)
            workers[mode].step(0)
        except RuntimeError as e:  # out of memory, or what cannot be compiled
            print(f"{net.key}: PyTorch, {mode}: {str(e).splitlines()[0]}", flush=True)
            workers.pop(mode, None)
        if mode == "eager" and o.device == "cuda":
            peak = torch.cuda.max_memory_allocated()
    least = 4 if o.tiny else 40
    steps = max(least, int(nnm.rate(net, least) * o.seconds))
    rates = {}
    for _ in range(o.rounds):
        for graphs in (True, False):
            name = "nnm, graphs" if graphs else "nnm"
            rates.setdefault(name, []).append(nnm.rate(net, steps, graphs))
        for mode, worker in workers.items():
            rates.setdefault(f"PyTorch, {mode}", []).append(worker.rate(o.seconds, 1 if o.tiny else WARM_UP))
    yield from compared(net.key, net.name, f"{net.unit}/s",
                        {k: [x * net.units() for x in r] for k, r in rates.items()}, more_is_better=True)
    if net.flops:
        yield from compared(net.key, net.name, "TFLOP/s",
                            {k: [x * net.units() * net.flops / 1e12 for x in r] for k, r in rates.items()},
                            more_is_better=True)
    if net.key == "B6":
        yield from compared("B13", net.name, "MiB at the peak",
                            {"nnm": [nnm.peak(net) / 2**20], "PyTorch, eager": [peak / 2**20]})


def compared(key, name, what, values, more_is_better=False):
    """A row of every program; `values` are lists by program, nnm's names begin with nnm."""
    medians = {program: statistics.median(v) for program, v in values.items()}
    own = [m for program, m in medians.items() if program.startswith("nnm")]
    best = (max if more_is_better else min)(own)
    for program, v in values.items():
        m = medians[program]
        ratio = (best / m if more_is_better else m / best) if best and m else float("nan")
        yield (key, name, program, what, *(f"{x:.4g}" for x in (m, min(v), max(v), ratio)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--nnm", default=HERE.parent.parent / "build" / "bundle" / "nnm",
                        type=lambda p: pathlib.Path(p).resolve())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each measurement")
    parser.add_argument("--only", nargs="*", default=[], help="workloads: B1, B6 …")
    parser.add_argument("--modes", nargs="*", default=list(MODES), choices=list(MODES), help="of PyTorch")
    parser.add_argument("--list", action="store_true", help="what there is to measure")
    parser.add_argument("--tiny", action="store_true", help="small sizes, for a machine without a GPU")
    parser.add_argument("--out", type=pathlib.Path, help="the table as TSV, written row by row")
    o = parser.parse_args()
    o.device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    nnm = Nnm(o.nnm)
    work = [(n.key, n.name, lambda n=n: training(n, nnm, o)) for n in cuda_nets.nets(o.tiny)]
    work += [(key, name, lambda f=f: f(nnm, o, compared)) for key, name, f in cuda_parts.PARTS]
    if o.list:
        print("\n".join(f"{key}\t{name}" for key, name, _ in work))
        return
    where = torch.cuda.get_device_name() if o.device == "cuda" else "no GPU: the numbers say nothing"
    lines = [f"# {where}, PyTorch {torch.__version__}, {nnm.version()}", "\t".join(HEAD)]
    print("\n".join(lines), flush=True)
    for key, _, rows in work:
        if o.only and key not in o.only and not (key == "B6" and "B13" in o.only):
            continue
        for row in rows():
            lines.append("\t".join(row))
            print(lines[-1], flush=True)
        if o.out:
            o.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
