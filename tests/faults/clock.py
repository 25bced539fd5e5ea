#!/usr/bin/env python3
"""Trains while the calendar's clock jumps by decades: runs end when they should, and no duration,
no event and no checkpoint shows it."""

import json
import os
import pathlib
import subprocess
import sys
import time

import support

CASES = [("steps", ["--max", "60 steps"], 0, 0),
         ("time", ["--max", "[1000000 steps, 1.5 s]"], 0, 1.5),
         ("limit", ["--max", "1000000 steps", "--time-limit", "1.5 s"], 75, 1.5),
         ("timers", ["--max", "[1000000 steps, 1.5 s]", "--set", "train.log=every 0.2 s", "--set",
                     "train.checkpoint.every=0.3 s", "--set", "train.eval=every 0.4 s"], 0, 1.5)]


def main():
    failures = support.Failures("clock")
    check = failures.check
    with support.folder() as folder:
        where = pathlib.Path(folder)
        support.write_config(where)
        library = support.preload(where, "clock.c")
        env = dict(support.environment(), LD_PRELOAD=str(library))
        for name, words, code, least in CASES:
            begin = time.monotonic()
            done = subprocess.run(["nnm", "train", "net.yaml", "--run", name, *words], cwd=where, env=env,
                                  capture_output=True, text=True, timeout=60)
            took = time.monotonic() - begin
            check(done.returncode == code, f"{name}: exit code {done.returncode}: {done.stderr}")
            events = [json.loads(line) for line in (where / name / "events.jsonl").read_text().splitlines()]
            times = [e["time"] for e in events]
            check(times == sorted(times), f"{name}: times of events: {times}")
            # --time-limit counts from the process's start, which is before the run's.
            ran = took if "--time-limit" in words else times[-1]
            check(least <= ran and times[-1] <= took, f"{name}: {times[-1]} s of {took} s")
            lengths = [e["seconds"] for e in events if "seconds" in e]
            check(all(0 <= s <= took for s in lengths), f"{name}: durations: {lengths}")
            speeds = [e["samples_per_s"] for e in events if e["event"] == "step"]
            check(all(s > 0 for s in speeds), f"{name}: speeds: {speeds}")
            if name == "timers":
                for kind, count in (("step", 7), ("checkpoint", 5), ("eval", 3)):
                    seen = sum(e["event"] == kind for e in events)
                    check(count - 3 <= seen <= count + 3, f"{name}: {seen} events `{kind}`")
            done = support.nnm("verify", name, cwd=where)
            check(done.returncode == 0, f"{name}: {done.stdout}")
            done = support.nnm("train", "net.yaml", "--run", name, "--resume", "--max", "1 step", cwd=where)
            check(done.returncode == 0, f"{name}: resumed: {done.stderr}")
    return failures.end(f"{len(CASES)} runs")


if __name__ == "__main__":
    sys.exit(main())
