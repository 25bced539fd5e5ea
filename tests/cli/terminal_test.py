#!/usr/bin/env python3
"""What people see on a terminal: colours and a bar there, plain text elsewhere."""

import os
import pathlib
import pty
import re
import subprocess
import sys
import tempfile
import unittest

import program

ESCAPE = "\x1b["


def on_terminal(*words, **variables):
    """(exit code, what a terminal as stderr got, stdout)."""
    env = {**program.environment(), "TERM": "xterm", **variables}
    env = {k: v for k, v in env.items() if v is not None}
    ours, theirs = pty.openpty()
    process = subprocess.Popen(["nnm", *words], cwd=WHERE, env=env, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=theirs, text=True)
    os.close(theirs)
    seen = program.read_terminal(ours)
    out = process.communicate(timeout=program.TIMEOUT)[0]
    return process.returncode, seen.decode(errors="replace"), out


class Terminal(unittest.TestCase):
    def test_errors_have_colours_on_a_terminal_only(self):
        code, seen, out = on_terminal("check", "absent.yaml")
        self.assertEqual((code, out), (2, ""))
        self.assertIn(ESCAPE, seen)
        for variables in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
            _, seen, _ = on_terminal("check", "absent.yaml", **variables)
            self.assertNotIn(ESCAPE, seen)
            self.assertIn("absent.yaml", seen)
        done = program.nnm("check", "absent.yaml", cwd=WHERE)
        self.assertNotIn(ESCAPE, done.stderr)

    def test_a_bar_on_a_terminal(self):
        code, seen, out = on_terminal("train", "tiny.yaml", "--run", "bar")
        self.assertEqual(code, 0)
        self.assertIn("\r", seen)
        self.assertIn("100%", seen)
        self.assertNotIn(ESCAPE, out)
        self.assertEqual(out.splitlines()[0], "bar")

    def test_plain_lines_elsewhere(self):
        for name, variables in (("ci", {"CI": "true"}), ("dumb", {"TERM": "dumb"})):
            _, seen, _ = on_terminal("train", "tiny.yaml", "--run", name, **variables)
            self.assertNotIn(ESCAPE, seen)
            self.assertNotIn("█", seen)
            self.assertIn("step 12/12", seen)
        _, seen, _ = on_terminal("train", "tiny.yaml", "--run", "forced", "--progress", "plain")
        self.assertNotIn("█", seen)
        _, seen, _ = on_terminal("train", "tiny.yaml", "--run", "silent", "--progress", "none")
        self.assertEqual(seen, "")

    def test_plain_lines_become_rare(self):
        done = program.nnm("train", "tiny.yaml", "--run", "long", "--max", "4.5 s", "--progress", "plain",
                           "--set", "train.checkpoint.every=1000 epochs", cwd=WHERE)
        steps = [int(n) for n in re.findall(r"step (\d+)", done.stderr)]
        self.assertEqual(steps, sorted(set(steps)))
        # After 1 s and 2 s more, at an epoch's end once a second at most, and at the end.
        self.assertTrue(3 <= len(steps) <= 8, done.stderr)
        self.assertNotIn("loss 0\n", done.stderr)

    def test_a_resumed_run_tells_no_loss_it_does_not_know(self):
        program.nnm("train", "tiny.yaml", "--run", "r", "--max", "7 steps", cwd=WHERE)
        done = program.nnm("train", "tiny.yaml", "--run", "r", "--max", "7 steps", "--resume", cwd=WHERE)
        self.assertEqual(done.returncode, 0)
        self.assertNotRegex(done.stdout + done.stderr, r"loss 0\b(?!\.)")

    def test_the_folder_is_said_at_once(self):
        process = subprocess.Popen(["nnm", "train", "tiny.yaml", "--run", "now", "--max", "1000000 epochs",
                                    "--progress", "none"], cwd=WHERE, env=program.environment(), text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertEqual(process.stdout.readline(), "now\n")
        self.assertIsNone(process.poll())
        process.terminate()
        rest, err = process.communicate(timeout=program.TIMEOUT)
        self.assertEqual((process.returncode, rest.count("\n"), err), (143, 1, ""))


def main():
    global WHERE
    with tempfile.TemporaryDirectory(prefix="nnm-terminal-") as folder:
        WHERE = pathlib.Path(folder)
        (WHERE / "tiny.yaml").write_text((program.ROOT / "tests/cli/tiny.yaml").read_text())
        result = unittest.main(exit=False, verbosity=0, argv=["terminal_test"]).result
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
