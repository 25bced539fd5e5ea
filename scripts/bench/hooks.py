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
    before = os.times()
    wall = bench.nnm_step(str(config), [], steps, threads)
    after = os.times()
    used = (after.children_user - before.children_user
            + after.children_system - before.children_system)
    return wall, 1000 * used / steps


def measure(threads, rounds, steps):
    workers = {mode: bench.Torch("cnn", 64, threads, mode) for mode in ("eager", "hooked")}
    wall = {key: [] for key in ("nnm", "nnm hooked", "eager", "hooked")}
    used = {"nnm": [], "nnm hooked": []}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            for key, hooked in (("nnm", False), ("nnm hooked", True)):
                w, u = nnm_step(folder, hooked, steps, threads)
                wall[key].append(w)
                used[key].append(u)
            for mode, worker in workers.items():
                wall[mode].append(worker.step(max(2, steps // 2)))
    for worker in workers.values():
        worker.close()
    best = {key: min(times) for key, times in wall.items()}
    cpu = {key: min(times) for key, times in used.items()}
    print(f"{threads} threads: nnm {best['nnm']:.2f} -> {best['nnm hooked']:.2f} ms "
          f"(+{best['nnm hooked'] - best['nnm']:.2f} ms, "
          f"{100 * (best['nnm hooked'] / best['nnm'] - 1):.1f} %); "
          f"processor {cpu['nnm']:.2f} -> {cpu['nnm hooked']:.2f} ms "
          f"({100 * (cpu['nnm hooked'] / cpu['nnm'] - 1):.1f} %); "
          f"PyTorch {best['eager']:.2f} -> {best['hooked']:.2f} ms "
          f"(+{best['hooked'] - best['eager']:.2f} ms, "
          f"{100 * (best['hooked'] / best['eager'] - 1):.1f} %)", flush=True)


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
