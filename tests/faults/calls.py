#!/usr/bin/env python3
"""Lets every system call that writes fail in turn, and asks what came of it.

calls.py [--share N] [--only VERB]. For each verb that writes, and each open, write, fsync, close,
rename, ftruncate, mkdir, symlink and unlink it makes: the program ends with exit code 4 and a line
that names the file, what was there before is whole, nothing half written stays, and the same command
afterwards does what it always does. Of the calls of one kind every Nth is tried (1: all).
"""

import argparse
import dataclasses
import errno
import os
import pathlib
import re
import shutil
import subprocess
import sys

import support

CALLS = {"open": errno.EACCES, "write": errno.ENOSPC, "fsync": errno.EIO, "close": errno.EIO,
         "rename": errno.EIO, "ftruncate": errno.ENOSPC, "mkdir": errno.EACCES,
         "symlink": errno.EACCES, "unlink": errno.EIO}
STATE = ["state_dict", "optimizer", "scheduler", "ema", "rng", "data", "metrics"]


@dataclasses.dataclass
class Case:
    """A command, and the files whose contents tell whether it did its work."""
    name: str
    words: list
    results: list


CASES = [
    Case("train", ["train", "net.yaml", "--run", "run", "--resume", "--max", "9 steps"],
         ["run/checkpoints/last.h5", "run/metrics.csv"]),
    Case("train-anew", ["train", "net.yaml", "--max", "3 steps", "--trace", "watch.yaml"],
         ["runs/net/latest/checkpoints/last.h5", "runs/net/latest/metrics.csv",
          "runs/net/latest/traces/train.h5"]),
    Case("trace", ["trace", "run", "--hook", "forward", "-o", "t.h5"], ["t.h5"]),
    Case("predict", ["predict", "run", "--split", "val", "-o", "p.h5"], ["p.h5"]),
    Case("predict-npy", ["predict", "run", "--split", "val", "-o", "p.npy"], ["p.npy"]),
    Case("predict-csv", ["predict", "run", "--split", "val", "-o", "p.csv"], ["p.csv"]),
    Case("init", ["init", "-o", "new.yaml"], ["new.yaml"]),
]
WATCH = "{name: watch, on: forward, at: fc1, capture: {what: output, reduce: [mean]}}\n"


class Campaign:
    def __init__(self, folder, failures, share):
        self.folder, self.failures, self.share = folder, failures, share
        self.library, self.log = support.preload(folder, "fail.c"), folder / "log.txt"
        self.before, self.where = folder / "before", folder / "work"
        self.tried = 0
        self.before.mkdir()
        support.write_config(self.before)
        (self.before / "watch.yaml").write_text(WATCH)
        self.setup()

    def setup(self):
        """What is there before each command: a run, and older results of every verb but init."""
        made = [["train", "net.yaml", "--run", "run", "--max", "6 steps"],
                ["train", "net.yaml", "--max", "2 steps"],
                ["trace", "run", "--hook", "forward", "-o", "t.h5"]]
        made += [["predict", "run", "--split", "train", "-o", f"p.{end}"] for end in ("h5", "npy", "csv")]
        for words in made:
            done = support.nnm(*words, cwd=self.before)
            if done.returncode:
                sys.exit(f"calls: nnm {' '.join(words)}: {done.stderr}")

    def fresh(self):
        shutil.rmtree(self.where, ignore_errors=True)
        shutil.copytree(self.before, self.where, symlinks=True)
        self.log.unlink(missing_ok=True)

    def run(self, case, plan=None):
        """The finished process, and what the shim saw."""
        env = dict(support.environment(), LD_PRELOAD=str(self.library), NNM_FAIL_LOG=str(self.log),
                   NNM_FAIL_UNDER=str(self.where.resolve()), NNM_FAIL=plan or "none:0:0")
        done = subprocess.run(["nnm", *case.words], cwd=self.where, env=env, text=True,
                              capture_output=True, errors="replace", timeout=120,
                              stdin=subprocess.DEVNULL)
        return done, self.log.read_text().splitlines() if self.log.exists() else []

    def results(self, case):
        found = []
        for name in case.results:
            path = self.where / name
            if path.suffix != ".h5":
                found.append(path.read_bytes() if path.exists() else None)
            elif path.exists():
                groups = STATE if "checkpoints" in name else ["tensors", "stats", "calls", "out"]
                found.append(support.contents(path, groups, clocks=False))
            else:
                found.append(None)
        return found

    def leftovers(self):
        return sorted(str(p.relative_to(self.where)) for p in self.where.rglob("*.part*"))

    def whole(self, name):
        """Every checkpoint and trace that has its name is whole."""
        files = [p.relative_to(self.where) for p in self.where.rglob("*.h5")
                 if p.exists() and p.name != "p.h5"]
        done = support.nnm("verify", *files, cwd=self.where)
        self.failures.check(done.returncode == 0, f"{name}: damaged: {done.stdout[-500:]}")

    def attempt(self, case, call, number, truth):
        self.fresh()
        old = self.results(case)
        name = f"{case.name}: {call} {number}"
        done, log = self.run(case, f"{call}:{number}:{CALLS[call]}")
        failed = [line.split(" ", 2)[2] for line in log if line.startswith("FAILED")]
        if not failed:
            return
        path = os.path.relpath(failed[0], self.where.resolve())
        # Unfinished files go by the name of what they are going to be.
        file = re.sub(r"(\.\d+(-\d+)?)?\.part$", "", path)
        name += f" of {path}"
        check = self.failures.check
        # What fails without a reason to care: locks hold without their contents, and a folder that is
        # there or a file that is not need not be made or removed.
        harmless = done.returncode == 0 and (call in ("mkdir", "unlink") or path.endswith(".lock"))
        if not harmless and check(done.returncode == 4,
                                  f"{name}: exit code {done.returncode}: {done.stderr[-300:]}"):
            named = file in done.stderr or (os.path.dirname(file) or file) in done.stderr
            check("error: " in done.stderr and named, f"{name}: no line names it: {done.stderr[-300:]}")
        if case.name not in ("train", "train-anew"):
            check(all(n in (o, t) for n, o, t in zip(self.results(case), old, truth)),
                  f"{name}: neither the old file nor the new one is there")
        # A trace that was begun stays, to be read as far as it goes.
        left = [f for f in self.leftovers() if not f.endswith(("t.h5.part", "train.h5.part"))]
        check(not left or call == "unlink", f"{name}: left behind: {left}")
        self.whole(name)
        self.tried += 1
        if case.name == "init" and self.results(case) == truth:
            return  # it never overwrites
        again, _ = self.run(case)
        check(again.returncode == 0, f"{name}: afterwards: {again.returncode}: {again.stderr[-300:]}")
        check(self.results(case) == truth, f"{name}: afterwards: other results")
        # A run that begins anew has another folder than the one that failed.
        if case.name != "train-anew":
            check(not self.leftovers(), f"{name}: afterwards: left behind: {self.leftovers()}")

    def conduct(self, case):
        self.fresh()
        done, log = self.run(case)
        if done.returncode:
            sys.exit(f"calls: nnm {' '.join(case.words)}: {done.stderr}")
        truth = self.results(case)
        for call in CALLS:
            count = sum(line.startswith(call + " ") for line in log)
            for number in range(1, count + 1, self.share):
                self.attempt(case, call, number, truth)
        # Writes in pieces and interruptions are no failures at all.
        for plan in ("write:half:0", "write:EINTR:0"):
            self.fresh()
            done, _ = self.run(case, plan)
            name = f"{case.name}: {plan}"
            self.failures.check(done.returncode == 0, f"{name}: {done.returncode}: {done.stderr[-300:]}")
            self.failures.check(self.results(case) == truth, f"{name}: other results")
            self.whole(name)
            self.tried += 1


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--share", type=int, default=1)
    parser.add_argument("--only")
    options = parser.parse_args()
    failures = support.Failures("calls")
    with support.folder() as folder:
        campaign = Campaign(pathlib.Path(folder), failures, options.share)
        for case in CASES:
            if options.only in (None, case.name):
                campaign.conduct(case)
    return failures.end(f"{campaign.tried} failing calls")


if __name__ == "__main__":
    sys.exit(main())
