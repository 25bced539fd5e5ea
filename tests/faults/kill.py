#!/usr/bin/env python3
"""Kills nnm at random moments, goes on, and compares the end with an undisturbed run.

kill.py [--kills N] [--seed S]. The kills are spread over training that mostly computes, training
that mostly saves, training whose hooks record, and `nnm trace`. After every kill the newest
checkpoint and every finished trace must be whole; in the end metrics, weights, optimizer state and
traces must be those of a run that nobody disturbed, and nothing half written may be left.
"""

import argparse
import dataclasses
import json
import pathlib
import random
import signal
import subprocess
import sys
import time

import support

STATE = ["state_dict", "optimizer", "scheduler", "ema", "rng", "data", "metrics"]
TRACE = ["tensors", "stats", "calls", "index"]
WATCH = "{name: watch, on: [forward, full_backward], at: fc1, capture: {what: [output, grad_output], " \
        "reduce: [mean, histogram], tensor: full}}"
CLOCKS = {"index/wall_ns"}


@dataclasses.dataclass
class Scene:
    """A command that is killed; {} stands for the name of its run or file."""
    name: str
    words: list
    trains: bool = True


SCENES = [
    Scene("computing", ["train", "net.yaml", "--run", "{}", "--resume", "--set",
                        "train.checkpoint.every=40 steps"]),
    Scene("saving", ["train", "net.yaml", "--run", "{}", "--resume", "--max", "60 steps", "--set",
                     "train.checkpoint.every=1 steps"]),
    Scene("recording", ["train", "net.yaml", "--run", "{}", "--resume", "--max", "60 steps", "--trace",
                        WATCH]),
    Scene("tracing", ["trace", "whole-computing", "--split", "train", "--hook", "forward", "--hook",
                      "full_backward", "--steps", "9", "-o", "{}"], trains=False),
]


class Campaign:
    def __init__(self, where, failures, rng):
        self.where, self.failures, self.rng = where, failures, rng
        self.kills = self.runs = 0

    def start(self, scene, name, **options):
        words = [w.replace("{}", name) if w == "{}" else w for w in scene.words]
        words += ["--progress", "none"] if scene.trains else ["-q"]
        return subprocess.Popen(["nnm", *words], cwd=self.where, env=support.environment(), text=True,
                                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **options)

    def undisturbed(self, scene):
        """Its name, and how many seconds it takes."""
        name = "whole-" + scene.name + ("" if scene.trains else ".h5")
        begin = time.monotonic()
        process = self.start(scene, name)
        _, err = process.communicate()
        if process.returncode:
            sys.exit(f"kill: the undisturbed run fails: {err}")
        return name, time.monotonic() - begin

    def check_whole(self, scene, name, files):
        files = [f for f in files if f.exists()]
        if not files:
            return
        done = support.nnm("verify", *files, cwd=self.where)
        self.failures.check(done.returncode == 0,
                            f"{scene.name}: kill {self.kills} of {name}: {done.stdout}{done.stderr}")

    def finished(self, scene, name):
        """What has its final name."""
        if not scene.trains:
            return [self.where / name]
        run = self.where / name
        return sorted({*newest(run), run / "checkpoints/last.h5", run / "traces/train.h5"})

    def compare(self, scene, name, whole):
        check = self.failures.check
        a, b = self.where / whole, self.where / name
        if not scene.trains:
            same(check, a, b, TRACE, f"{scene.name}: {name}")
            check(not list(self.where.glob(f"{name}.*part*")), f"{scene.name}: {name}: left behind")
            return
        title = f"{scene.name}: {name}"
        check((a / "metrics.csv").read_bytes() == (b / "metrics.csv").read_bytes(),
              f"{title}: metrics.csv differs from the undisturbed run's")
        same(check, newest(a)[0], newest(b)[0], STATE, title)
        if (a / "traces/train.h5").exists():
            same(check, a / "traces/train.h5", b / "traces/train.h5", TRACE, title)
        events = [json.loads(line) for line in (b / "events.jsonl").read_text().splitlines()]
        steps = [e["step"] for e in events if e["event"] == "step"]
        check(steps == sorted(set(steps)), f"{title}: steps of events.jsonl: {steps}")
        status = json.loads((b / "status.json").read_text())
        check(status["state"] == "done", f"{title}: status.json says {status}")
        left = [p.name for p in b.rglob("*") if "part" in p.name or "tmp" in p.name or "old" in p.name]
        check(not left, f"{title}: left behind: {left}")

    def conduct(self, scene, kills):
        whole, seconds = self.undisturbed(scene)
        until = self.kills + kills
        while self.kills < until and len(self.failures.found) < 5:
            self.runs += 1
            name = f"{scene.name}{self.runs}" + ("" if scene.trains else ".h5")
            while True:
                process = self.start(scene, name)
                try:
                    # Most of a run is killed early in it; some runs are let go on for long.
                    _, err = process.communicate(timeout=self.rng.uniform(0, seconds / 2))
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGKILL)
                    process.communicate()
                    self.kills += 1
                    self.check_whole(scene, name, self.finished(scene, name))
                    if self.kills < until:
                        continue
                    process = self.start(scene, name)
                    _, err = process.communicate()
                if self.failures.check(process.returncode == 0,
                                       f"{scene.name}: {name}: exit code {process.returncode}: {err}"):
                    self.compare(scene, name, whole)
                break


def newest(run):
    return sorted((run / "checkpoints").glob("step-*.h5"))[-1:]


def same(check, a, b, groups, title):
    found = [{k: v for k, v in support.contents(f, groups, clocks=False).items() if k not in CLOCKS}
             for f in (a, b)]
    differ = support.differences(*found)
    check(not differ, f"{title}: {b.name} differs: {differ[:5]}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only")
    options = parser.parse_args()
    failures = support.Failures("kill")
    with support.folder() as folder:
        where = pathlib.Path(folder)
        support.write_config(where)
        campaign = Campaign(where, failures, random.Random(options.seed))
        for scene in SCENES:
            if options.only in (None, scene.name):
                campaign.conduct(scene, -(-options.kills // len(SCENES)))
    return failures.end(f"{campaign.kills} kills in {campaign.runs} runs")


if __name__ == "__main__":
    sys.exit(main())
