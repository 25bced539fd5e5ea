#!/usr/bin/env python3
"""Runs command-line tests: tests/cli/run.py [FILE ...]; without files, all beside it, which are
transcripts, *.txt, and programs, *_test.py.

A transcript is a list of commands with what they must answer:

    # a comment
    $ nnm version            the command, run by bash in an empty folder of the transcript's own
    nnm {}                   a line of stdout; {} stands for any text within a line
    ...                      any number of lines
    ! warning: {}            a line of stderr; without any, stderr is not looked at
    !                        alone: stderr must be empty
    ? 2                      the exit code, 0 where it is not given
    @needs mnist             skips the file where this data set is not there

In commands, $ROOT is the source tree, $DATA the folder of data sets, and nnm the program.
"""

import concurrent.futures
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile

from program import ROOT, TIMEOUT, environment

HERE = pathlib.Path(__file__).resolve().parent


def data_folder():
    for folder in (os.environ.get("NNM_DATA_DIR"), ROOT.parent / "shared/data", ROOT / "configs/data"):
        if folder and (pathlib.Path(folder) / "mnist").is_dir():
            return pathlib.Path(folder)
    return ROOT / "configs/data"


class Step:
    def __init__(self, number, command):
        self.number, self.command, self.code = number, command, 0
        self.out, self.err, self.err_checked = [], [], False


def parse(path):
    steps, needs = [], []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.startswith("$ "):
            steps.append(Step(number, line[2:]))
        elif line.startswith("@needs "):
            needs += line.split()[1:]
        elif line.startswith("> ") and steps:
            steps[-1].command += "\n" + line[2:]
        elif line.startswith("? "):
            steps[-1].code = int(line[2:])
        elif line.startswith("!"):
            steps[-1].err_checked = True
            if line != "!":
                steps[-1].err.append(line[2:])
        elif line and not line.startswith("#"):
            steps[-1].out.append(line)
    return steps, needs


def pattern(lines):
    parts = []
    for line in lines:
        if line == "...":
            parts.append(r"(?:[^\n]*\n)*?")
        else:
            parts.append(".*?".join(re.escape(p) for p in line.split("{}")) + r" *\n")
    return re.compile("".join(parts))


def matches(lines, text):
    # Empty lines of the answer say nothing.
    text = "".join(l + "\n" for l in text.split("\n") if l.strip())
    return pattern(lines).fullmatch(text) is not None


def check(step, done):
    problems = []
    if done.returncode != step.code:
        problems.append(f"exit code {done.returncode}, expected {step.code}")
    if step.out and not matches(step.out, done.stdout):
        problems.append("stdout is not as expected:\n" + done.stdout)
    if step.err_checked and not matches(step.err, done.stderr):
        problems.append("stderr is not as expected:\n" + done.stderr)
    if problems and done.stderr and not step.err_checked:
        problems.append("stderr:\n" + done.stderr)
    return problems


def ended(words, limit=TIMEOUT, **options):
    """What the command did, or None where it does not end; nothing that it began is left then."""
    process = subprocess.Popen(words, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, errors="replace",
                               stdin=subprocess.DEVNULL, start_new_session=True, **options)
    try:
        out, err = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return None
    return subprocess.CompletedProcess(words, process.returncode, out, err)


def run_program(path):
    limit = 4 * TIMEOUT  # its commands have limits of their own
    done = ended([sys.executable, str(path)], limit)
    if done is None:
        return [f"{path.name}: no end after {limit} s"]
    return [f"{path.name}: exit code {done.returncode}\n{done.stdout}{done.stderr}"] * (done.returncode != 0)


def run(path):
    """Gives the problems of one file, or None where its data are not there."""
    if path.suffix == ".py":
        return run_program(path)
    steps, needs = parse(path)
    data = data_folder()
    if any(not (data / n).is_dir() for n in needs):
        return None
    env = dict(environment(), ROOT=str(ROOT), DATA=str(data))
    with tempfile.TemporaryDirectory(prefix="nnm-cli-") as folder:
        for step in steps:
            done = ended(["bash", "-c", step.command], cwd=folder, env=env)
            if done is None:
                return [f"{path.name}:{step.number}: no end after {TIMEOUT} s: {step.command}"]
            problems = check(step, done)
            if problems:
                return [f"{path.name}:{step.number}: $ {step.command}\n" + "\n".join(problems)]
    return []


# They begin first, so that no worker waits for one of them at the end.
LONGEST = ["selftest.txt", "kernels_test.py", "cuda.txt", "install_test.py", "configs_mnist.txt"]


def main():
    files = [pathlib.Path(f).resolve() for f in sys.argv[1:]]
    files = files or sorted([*HERE.glob("*.txt"), *HERE.glob("*_test.py")],
                            key=lambda f: (f.name not in LONGEST, f.name))
    passed = failed = skipped = 0
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        for path, problems in zip(files, pool.map(run, files)):
            if problems is None:
                skipped += 1
                print(f"{path.name}: skipped: no data")
            elif problems:
                failed += 1
                print("\n".join(problems))
            else:
                passed += 1
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
