#!/usr/bin/env python3
"""Full disks and places that cannot be written: exit code 4, and what was there stays whole.

A limit on the size of files stands for a full disk; where the test may mount, a small tmpfs is one.
"""

import json
import os
import pathlib
import resource
import subprocess
import sys

import support


def limited(size):
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def whole(where, file, failures, name):
    done = support.nnm("verify", file, cwd=where)
    failures.check(done.returncode == 0, f"{name}: {file} is damaged: {done.stdout}")
    done = support.nnm("eval", file, "--split", "val", cwd=where)
    failures.check(done.returncode == 0, f"{name}: {file} cannot be evaluated: {done.stderr}")


def newest(run):
    return max((run / "checkpoints").glob("step-*.h5"))


def file_limits(where, failures):
    """Training, predictions and traces under limits from nothing to just too little."""
    support.nnm("train", "net.yaml", "--max", "6 steps", "--run", "run", cwd=where)
    before = newest(where / "run")
    size = before.stat().st_size
    count = 0
    for limit in (0, 100, 4096, size // 2, size - 1):
        name = f"files of at most {limit} bytes"
        done = support.nnm("train", "net.yaml", "--max", "40 steps", "--run", "run", "--resume",
                           cwd=where, preexec_fn=limited(limit))
        failures.check(done.returncode == 4,
                       f"{name}: train ends with {done.returncode}: {done.stderr}")
        failures.check("error:" in done.stderr, f"{name}: train says nothing: {done.stderr}")
        whole(where, before, failures, name)
        left = [p.name for p in (where / "run/checkpoints").iterdir() if ".part" in p.name]
        failures.check(not left, f"{name}: left behind: {left}")
        count += 1
    # With room again the run goes on as if nothing had been.
    done = support.nnm("train", "net.yaml", "--max", "40 steps", "--run", "run", "--resume", cwd=where)
    failures.check(done.returncode == 0, f"afterwards: {done.stderr}")
    support.nnm("train", "net.yaml", "--max", "40 steps", "--run", "whole", cwd=where)
    failures.check((where / "run/metrics.csv").read_bytes() ==
                   (where / "whole/metrics.csv").read_bytes(), "afterwards: metrics.csv differs")
    for words, file in ((["predict", "run", "--split", "train", "-o", "p.h5"], "p.h5"),
                        (["predict", "run", "--split", "train", "-o", "p.npy"], "p.npy"),
                        (["predict", "run", "--split", "train", "-o", "p.csv"], "p.csv"),
                        (["trace", "run", "--hook", "forward", "-o", "t.h5"], "t.h5")):
        for limit in (0, 300):
            done = support.nnm(*words, cwd=where, preexec_fn=limited(limit))
            name = f"{words[0]} into {file} with at most {limit} bytes"
            failures.check(done.returncode == 4, f"{name}: {done.returncode}: {done.stderr}")
            failures.check(not (where / file).exists(), f"{name}: {file} is there")
            count += 1
        done = support.nnm(*words, cwd=where)
        failures.check(done.returncode == 0, f"{words[0]} into {file} afterwards: {done.stderr}")
    left = [p.name for p in where.rglob("*.part*")]
    failures.check(not left, f"left behind: {left}")
    return count


def full_device(where, failures):
    """stdout on a full device."""
    for words in ("version", "summary net.yaml", "list functions", "check net.yaml --format json"):
        done = subprocess.run(["bash", "-c", f"nnm {words} > /dev/full"], cwd=where,
                              env=support.environment(), capture_output=True, text=True)
        failures.check(done.returncode == 4, f"{words} > /dev/full: {done.returncode}")
    return 4


def small_file_system(where, failures):
    """A run on a tmpfs of a few checkpoints, in a mount name space of its own."""
    script = """
      mkdir -p small && mount -t tmpfs -o size=200k none small || exit 99
      nnm train net.yaml --run small/run --set train.checkpoint.keep=all --set train.max="400 steps" \
        > out.txt 2> err.txt
      echo $? > code.txt
      for f in small/run/checkpoints/step-*.h5; do nnm verify -q $f > /dev/null || echo $f; done > bad.txt
      ls small/run/checkpoints > list.txt
      cp small/run/status.json . ; true
    """
    done = subprocess.run(["unshare", "-m", "bash", "-c", script], cwd=where,
                          env=support.environment(), capture_output=True, text=True)
    if done.returncode == 99 or not (where / "code.txt").exists():
        print("disk: no tmpfs may be mounted here: left out")
        return 0
    code = (where / "code.txt").read_text().strip()
    said = (where / "err.txt").read_text()
    failures.check(code == "4", f"a full tmpfs: exit code {code}: {said[-500:]}")
    bad, there = (where / "bad.txt").read_text(), (where / "list.txt").read_text()
    failures.check(not bad, f"a full tmpfs: damaged: {bad}")
    failures.check("step-" in there, f"a full tmpfs: no checkpoint is left: {there}")
    failures.check(".part" not in there, f"a full tmpfs: left behind: {there}")
    return 1


def read_only(where, failures):
    """Folders that cannot be written, as another user than root sees them."""
    closed = where / "closed"
    closed.mkdir()
    count = 0
    cases = [["train", "net.yaml", "--run", "closed/run"],
             ["predict", "run", "--split", "val", "-o", "closed/p.h5"],
             ["predict", "run", "--split", "val", "-o", "closed/p.npy"],
             ["trace", "run", "-o", "closed/t.h5"], ["init", "-o", "closed/n.yaml"],
             ["predict", "run", "--split", "val", "-o", "absent/p.h5"],
             ["trace", "run", "-o", "absent/t.h5"], ["init", "-o", "absent/n.yaml"],
             ["train", "net.yaml", "--run", "net.yaml/run"],
             ["predict", "run", "--split", "val", "-o", "closed"]]
    user = {}
    if os.geteuid() == 0:
        os.chmod(where, 0o755)
        os.chmod(closed, 0o755)
        user = {"user": 65534, "group": 65534, "extra_groups": []}
    else:
        closed.chmod(0o555)
    for words in cases:
        try:
            done = support.nnm(*words, cwd=where, **user)
        except PermissionError:
            print("disk: another user cannot run the program here: left out")
            return count
        failures.check(done.returncode == 4, f"{' '.join(words)}: {done.returncode}: {done.stderr}")
        failures.check(not list(closed.iterdir()), f"{' '.join(words)}: wrote {list(closed.iterdir())}")
        count += 1
    return count


def main():
    failures = support.Failures("disk")
    with support.folder() as folder:
        where = pathlib.Path(folder)
        support.write_config(where)
        count = file_limits(where, failures)
        count += full_device(where, failures)
        count += small_file_system(where, failures)
        count += read_only(where, failures)
        status = json.loads((where / "run/status.json").read_text())
        failures.check(status["state"] == "done", f"status.json says {status}")
    return failures.end(f"{count} attempts to write")


if __name__ == "__main__":
    sys.exit(main())
