#!/usr/bin/env python3
"""Flips single bits of a checkpoint and of a trace, and cuts them short.

flip.py [--flips N] [--step N] [--seed S]. Whatever bit is wrong: `nnm verify` finds it, and `nnm eval`,
`nnm predict` and `nnm inspect` end with an error or the old answer. Nothing crashes, nothing hangs. The
program is put before N copies, and all cuts at 512 bytes; nnm_flips, which reads within one process,
before every STEPth bit of small files.
"""

import argparse
import json
import pathlib
import random
import subprocess
import sys

import support

AT_ONCE = 200  # files of one call of verify
GOOD = {0, 1, 2, 3}  # exit codes that may answer a damaged file


def verify(files, where):
    """What nnm verify says of each file: "ok" or its first problem."""
    done = support.nnm("verify", "--format", "json", *files, cwd=where)
    if done.returncode not in GOOD:
        if len(files) == 1:
            return {files[0]: f"CRASH: exit code {done.returncode}: {done.stderr[-300:]}"}
        half = len(files) // 2
        return {**verify(files[:half], where), **verify(files[half:], where)}
    said = {}
    for entry in json.loads(done.stdout)["files"]:
        problems = entry["problems"]
        said[entry["path"]] = "ok" if entry["ok"] else str(problems[0] if problems else "?")
    return said


def damaged(data, rng, count):
    """(name, bytes) of damaged copies: flips spread over the file, then cuts."""
    for i in range(count):
        at = (i * len(data) // count + rng.randrange(max(1, len(data) // count))) % len(data)
        bit = rng.randrange(8)
        yield f"bit {bit} of byte {at}", data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1:]
    for size in (*range(0, len(data), 512), 1, 8, 96, len(data) - 1):
        yield f"cut to {size}", data[:size]
    yield "one byte more", data + b"\0"


def answer(verb, file, where):
    words = {"eval": ["eval", file, "--format", "json"],
             "predict": ["predict", file, "--split", "val", "-o", "out.npy"],
             "inspect": ["inspect", file, "--format", "json"]}[verb]
    out = where / "out.npy"
    out.unlink(missing_ok=True)
    done = support.nnm(*words, cwd=where)
    if done.returncode:
        return done.returncode, done.stderr
    return 0, out.read_bytes() if verb == "predict" else done.stdout.replace(file, "FILE")


def campaign(original, verbs, where, failures, rng, count):
    data = original.read_bytes()
    names = {}
    for i, (name, bytes_) in enumerate(damaged(data, rng, count)):
        file = f"damaged-{i}.h5"
        (where / file).write_bytes(bytes_)
        names[file] = name
    expected = {verb: answer(verb, original.name, where) for verb in verbs}
    files = list(names)
    said = {}
    for begin in range(0, len(files), AT_ONCE):
        said.update(verify(files[begin:begin + AT_ONCE], where))
    for i, file in enumerate(files):
        name = f"{original.name}: {names[file]}"
        failures.check("CRASH" not in said[file], f"{name}: verify: {said[file]}")
        failures.check(said[file] != "ok", f"{name}: not noticed by verify")
        for verb in verbs if i % 4 == 0 else []:
            code, text = answer(verb, file, where)
            if code == 0:
                same = text.replace(file, "FILE") if isinstance(text, str) else text
                old = expected[verb][1]
                old = old.replace(original.name, "FILE") if isinstance(old, str) else old
                failures.check(same == old, f"{name}: {verb} answers something else")
            else:
                failures.check(code in GOOD, f"{name}: {verb}: exit code {code}: {text[-300:]}")
        (where / file).unlink()
    return len(files)


def sweep(file, step, where, failures):
    """Every STEPth bit of a file."""
    done = subprocess.run([support.BUILD / "nnm_flips", file, str(step)], cwd=where, capture_output=True,
                          text=True, timeout=3600)
    failures.check(done.returncode == 0, f"{file}: {done.stdout[-600:]}")
    return done.stdout.splitlines()[-1]


TINY = """
nnm: 1
model: {Sequential: [Linear(1, 1)]}
data: {train: {random: {x: "f32[2, 1]", y: "f32[2, 1]"}}}
train: {max: 1 step, loss: "mse_loss(out, y)", optimizer: SGD(lr=0.1)}
"""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--flips", type=int, default=3000)
    parser.add_argument("--step", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    failures = support.Failures("flip")
    done = []
    with support.folder() as folder:
        where = pathlib.Path(folder)
        support.write_config(where)
        for words in (["train", "net.yaml", "--max", "5 steps", "--run", "run", "--set",
                       "train.eval=every 5 steps"],
                      ["trace", "run", "--hook", "forward", "--hook", "full_backward", "--steps", "2",
                       "-o", "trace.h5"]):
            made = support.nnm(*words, cwd=where)
            if made.returncode:
                sys.exit(f"flip: nnm {' '.join(words)}: {made.stderr}")
        (where / "run/checkpoints/last.h5").resolve().rename(where / "checkpoint.h5")
        for file, verbs in (("checkpoint.h5", ["eval", "predict", "inspect"]),
                            ("trace.h5", ["inspect"])):
            count = campaign(where / file, verbs, where, failures, rng, options.flips)
            done.append(f"{count} damaged copies of {file}")
        (where / "tiny.yaml").write_text(TINY)
        for words in ("train tiny.yaml --run tiny", "trace tiny --hook forward --split train -o tiny.h5"):
            support.nnm(*words.split(), cwd=where)
        (where / "tiny/checkpoints/last.h5").resolve().rename(where / "tiny-checkpoint.h5")
        # Most of a trace is room for rows to come: a prime number of bits apart, all eight of a byte
        # have their turn.
        for file, step in (("tiny-checkpoint.h5", options.step), ("tiny.h5", 61 * options.step)):
            done.append(sweep(file, step, where, failures))
    return failures.end("; ".join(done))


if __name__ == "__main__":
    sys.exit(main())
