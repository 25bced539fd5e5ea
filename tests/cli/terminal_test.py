#!/usr/bin/env python3
"""What people see on a terminal: colours and a bar there, plain text elsewhere."""

import fcntl
import os
import pathlib
import pty
import re
import struct
import subprocess
import sys
import tempfile
import termios
import unittest

import program

ESCAPE = "\x1b["


# Epochs of the small net are over in a millisecond: each with a checkpoint, a run would do nothing else.
RARE_CHECKPOINTS = ("--set", "train.checkpoint.every=1000 epochs")


def resize(terminal, columns):
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 25, columns, 0, 0))


def on_terminal(*words, columns=80, later=None, **variables):
    """(exit code, what a terminal as stderr got, stdout). `later`: its columns after the first bytes
    have come; a zero byte stands there in what it got."""
    env = {**program.environment(), "TERM": "xterm", **variables}
    env = {k: v for k, v in env.items() if v is not None}
    ours, theirs = pty.openpty()
    resize(ours, columns)
    process = subprocess.Popen(["nnm", *words], cwd=WHERE, env=env, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=theirs, text=True)
    os.close(theirs)
    seen = b""
    if later:
        seen = os.read(ours, 65536) + b"\0"
        resize(ours, later)
    seen += program.read_terminal(ours)
    out = process.communicate(timeout=program.TIMEOUT)[0]
    return process.returncode, seen.decode(errors="replace"), out


def drawings(seen):
    """What was drawn over: the pieces that begin with a carriage return and end no line."""
    return [piece for line in seen.replace("\r\n", "\n").split("\n") for piece in line.split("\r")[1:-1]]


def on_screen(seen, columns):
    """The lines that a terminal shows in the end."""
    lines, at = [""], 0
    for char in seen.replace("\r\n", "\n"):
        if char == "\n":
            lines, at = [*lines, ""], 0
        elif char == "\r":
            at = 0
        else:
            if at == columns:
                lines, at = [*lines, ""], 0
            line = lines[-1].ljust(at)
            lines[-1], at = line[:at] + char + line[at + 1:], at + 1
    return [line.rstrip() for line in lines]


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

    def test_the_bar_says_how_far_and_how_fast(self):
        _, seen, _ = on_terminal("train", "tiny.yaml", "--run", "fields", "--max", "20000 steps",
                                 "--set", "train.eval=every 5000 steps", *RARE_CHECKPOINTS, columns=120)
        self.assertRegex(seen, r"[█░]{24}  \d+%  epoch \d+ step \d+/20000  loss \d\S*  \S+ samples/s  eta \d+s")
        _, seen, _ = on_terminal("train", "tiny.yaml", "--run", "nocolor", NO_COLOR="1")
        self.assertIn("\r", seen)
        self.assertNotIn("\x1b", seen)

    def test_the_bar_keeps_to_its_line(self):
        for columns in (12, 40, 60, 80, 100):
            words = ("train", "tiny.yaml", "--run", f"bar{columns}", "--max", "3000 steps", "--set",
                     "train.eval=every 1000 steps", *RARE_CHECKPOINTS)
            _, seen, _ = on_terminal(*words, columns=columns)
            self.assertTrue(all(len(d) < columns for d in drawings(seen)), seen)
            # Three evaluations, and one bar: nothing of the others is left.
            shown = "".join(on_screen(seen, columns))
            self.assertEqual((shown.count("samples)"), shown.count("%")), (3, 1), shown)

    def test_the_bar_follows_the_size_of_the_terminal(self):
        _, seen, _ = on_terminal("train", "tiny.yaml", "--run", "resized", "--max", "1.5 s", "--set",
                                 "train.eval=every 1000000 steps", columns=120, later=30)
        before, after = seen.split("\0")
        self.assertTrue(max(map(len, drawings(before)), default=100) > 30, before)
        self.assertGreater(len(drawings(after)), 3)
        self.assertTrue(all(len(d) < 30 for d in drawings(after)[1:]), after)

    def test_warnings_do_not_mix_with_the_bar(self):
        _, seen, _ = on_terminal("train", "tiny.yaml", "--run", "warned", "--max", "40 steps", "--set",
                                 "train.nan=skip", "--set", "train.loss=cross_entropy(out, y) * inf")
        shown = on_screen(seen, 80)
        warnings = [line for line in shown if "skipped" in line]
        self.assertGreater(len(warnings), 10, seen)
        self.assertTrue(all(line.startswith("warning: ") for line in warnings), "\n".join(shown))
        self.assertEqual([len(line) for line in warnings if "░" in line or "█" in line], [])

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
                           *RARE_CHECKPOINTS, cwd=WHERE)
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
