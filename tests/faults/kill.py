#!/usr/bin/env python3
"""Kills training at random moments, resumes it, and compares the end with an undisturbed run.

kill.py [--kills N] [--seed S]. After every kill the newest checkpoint must be whole; the metrics,
weights and optimizer state of the finished run must be those of a run that nobody disturbed.
"""

import argparse
import json
import pathlib
import random
import signal
import subprocess
import sys
import time

import support

STATE = ["state_dict", "optimizer", "scheduler", "ema", "rng", "data", "metrics"]


def reference(where):
    begin = time.time()
    done = support.nnm("train", "net.yaml", "--run", "whole", cwd=where)
    if done.returncode:
        sys.exit(f"kill: the undisturbed run fails:\n{done.stderr}")
    return time.time() - begin


def newest(run):
    files = sorted((run / "checkpoints").glob("step-*.h5"))
    return files[-1] if files else None


def check_after_kill(where, run, failures, kill):
    file = newest(run)
    if not file:
        return
    last = run / "checkpoints" / "last.h5"
    for path in {file, last.resolve()}:
        done = support.nnm("verify", path, cwd=where)
        failures.check(done.returncode == 0, f"kill {kill}: {path.name}: {done.stdout}{done.stderr}")


def compare(where, run, failures, name):
    whole = where / "whole"
    failures.check((run / "metrics.csv").read_bytes() == (whole / "metrics.csv").read_bytes(),
                   f"{name}: metrics.csv differs from the undisturbed run's")
    a = support.contents(newest(whole), STATE, clocks=False)
    b = support.contents(newest(run), STATE, clocks=False)
    differ = support.differences(a, b)
    failures.check(not differ, f"{name}: the last checkpoints differ: {differ[:5]}")
    steps = []
    for line in (run / "events.jsonl").read_text().splitlines():
        event = json.loads(line)
        if event["event"] == "step":
            steps.append(event["step"])
    failures.check(steps == sorted(set(steps)), f"{name}: steps of events.jsonl: {steps}")
    status = json.loads((run / "status.json").read_text())
    failures.check(status["state"] == "done", f"{name}: status.json says {status}")
    left = [p.name for p in run.rglob("*") if "part" in p.name or "tmp" in p.name]
    failures.check(not left, f"{name}: left behind: {left}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    failures = support.Failures("kill")
    with support.folder() as folder:
        where = pathlib.Path(folder)
        support.write_config(where)
        seconds = reference(where)
        kills = runs = 0
        while kills < options.kills:
            run = where / f"run{runs}"
            while True:
                process = subprocess.Popen(
                    ["nnm", "train", "net.yaml", "--run", run.name, "--resume", "--progress", "none"],
                    cwd=where, env=support.environment(), stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE, text=True)
                try:
                    _, err = process.communicate(timeout=rng.uniform(0, seconds / 4))
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGKILL)
                    process.communicate()
                    kills += 1
                    check_after_kill(where, run, failures, kills)
                    continue
                failures.check(process.returncode == 0,
                               f"run {runs}: exit code {process.returncode}: {err}")
                break
            if process.returncode == 0:
                compare(where, run, failures, f"run {runs}")
            runs += 1
            if len(failures.found) > 5:
                break
        return failures.end(f"{kills} kills in {runs} runs")


if __name__ == "__main__":
    sys.exit(main())
