#!/usr/bin/env python3
"""What statistics of every module's output cost a training step: nnm's captures, PyTorch's hooks.

    PYTHON_WITH_TORCH scripts/bench/hooks.py [--threads 1 2] [--rounds 5] [--steps 60]

The MNIST CNN of bench.py, plain and with mean, std and absmax of every module's output at every
step. A round runs all four in turns. Wall times are minima over rounds of the mean step; processor
times are those of the whole process per step, which a busy machine disturbs less.
"""

import argparse
import os
import pathlib
import resource
import tempfile

import bench

CAPTURE = """
hooks:
  - name: watch
    on: forward
    at: "**"
    capture: {what: [output], reduce: [mean, std, absmax], tensor: none}
"""


def nnm_step(folder, hooked, steps, threads):
    """(wall, processor) milliseconds a step."""
    config = pathlib.Path(folder) / ("hooked" if hooked else "plain")
    config.with_suffix(".yaml").write_text(
        (bench.HERE / "cnn.yaml").read_text() + (CAPTURE if hooked else ""))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    wall = bench.nnm_step(str(config), [], steps, threads)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return wall, 1000 * used / steps


def measure(threads, rounds, steps):
    workers = {mode: bench.Torch("cnn", 64, threads, mode) for mode in ("eager", "hooked")}
    wall = {key: [] for key in ("nnm", "nnm hooked", "eager", "hooked")}
    used = {key: [] for key in wall}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            for key, hooked in (("nnm", False), ("nnm hooked", True)):
                w, u = nnm_step(folder, hooked, steps, threads)
                wall[key].append(w)
                used[key].append(u)
            for mode, worker in workers.items():
                wall[mode].append(worker.step(max(2, steps // 2)))
                used[mode].append(float(worker.used))
    for worker in workers.values():
        worker.close()
    for name, plain, hooked in (("nnm", "nnm", "nnm hooked"), ("PyTorch", "eager", "hooked")):
        for kind, times in (("wall", wall), ("processor", used)):
            before, after = min(times[plain]), min(times[hooked])
            print(f"{threads} threads  {name:<8} {kind:<10} {before:7.2f} -> {after:7.2f} ms a step, "
                  f"{after - before:+.2f} ms, {100 * (after / before - 1):5.1f} %", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=60)
    args = parser.parse_args()
    for name in ("OPENBLAS_CORETYPE", "OMP_NUM_THREADS"):
        os.environ.pop(name, None)
    for threads in args.threads:
        measure(threads, args.rounds, args.steps)


if __name__ == "__main__":
    main()
