"""nnm's side of cuda_bench.py: its program, run on configs beside this file."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import torch

HERE = pathlib.Path(__file__).resolve().parent


class Nnm:
    def __init__(self, program):
        self.program = program
        # The libraries that PyTorch uses, whichever Python is in the PATH.
        libraries = ":".join(map(str, pathlib.Path(torch.__file__).parent.parent.glob("nvidia/*/lib")))
        self.env = {"NNM_CUDA_LIBS": libraries, **os.environ}

    def run(self, *words, sets=(), cwd=None, graphs=False):
        command = [self.program, *words]
        for s in sets:
            command += ["--set", s]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd=cwd, check=False,
                              env={**self.env, "NNM_CUDA_GRAPHS": str(int(graphs))})
        if done.returncode:
            sys.exit(f"{' '.join(map(str, command))}\nfailed: {done.stderr}")
        return done.stdout

    def version(self):
        return self.run("version").strip()

    def rate(self, net, steps, graphs=False, sets=()):
        """Training steps a second."""
        return self.rate_of(HERE / net.config, [*net.overrides(), *sets], steps, graphs)

    def rate_of(self, config, overrides, steps, graphs=False):
        log = max(1, steps // 10)
        with tempfile.TemporaryDirectory() as folder:
            self.run("train", config, "--run", f"{folder}/run", "--device", "cuda", "--max", f"{steps} steps",
                     "--progress", "none", "-q", sets=[*overrides, f"train.log=every {log} steps"], cwd=folder,
                     graphs=graphs)
            events = [json.loads(line) for line in open(f"{folder}/run/events.jsonl")]
        times = [(e["step"], e["time"]) for e in events if e["event"] == "step"]
        first, last = next(t for t in times if t[0] >= 2 * log), times[-1]
        return (last[0] - first[0]) / (last[1] - first[1])

    def first_step(self, config, overrides):
        """Seconds from the program's start to its end after one step."""
        with tempfile.TemporaryDirectory() as folder:
            begin = time.perf_counter()
            self.run("train", config, "--run", f"{folder}/run", "--device", "cuda", "--max", "1 step", "-q",
                     sets=overrides, cwd=folder)
            return time.perf_counter() - begin

    def bench(self, config, overrides, steps):
        """What `nnm bench` says of a config."""
        return json.loads(self.run("bench", config, "--device", "cuda", "--steps", steps, "--format", "json",
                                   sets=overrides))

    def peak(self, net):
        """Bytes at the peak of a training step."""
        return self.bench(HERE / net.config, net.overrides(), 2)["peak_bytes"]
