#!/usr/bin/env python3
"""Signals that end verbs which have nothing to finish: the exit code that is documented, and no file half
written."""

import pathlib
import signal
import subprocess
import tempfile
import time
import unittest

import program

LONG = ["bench", "net.yaml", "--steps", "1000000"]


class Signals(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        text = program.SMALL_NET + "train: {max: 1 epoch, loss: 'cross_entropy(out, y)', optimizer: SGD(lr=0.1)}\n"
        pathlib.Path(self.folder.name, "net.yaml").write_text(text)

    @staticmethod
    def waits_for_signals(pid):
        """Whether the program has come so far that it catches what it was not told to ignore."""
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        caught = int(status.split("SigCgt:")[1].split()[0], 16)
        return caught >> (signal.SIGTERM - 1) & 1

    def end(self, number, ignored=()):
        """The exit code of a long computation that gets a signal."""
        def ignore():
            # Whoever runs the tests in the background may have them ignore some.
            for other in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(other, signal.SIG_IGN if other in ignored else signal.SIG_DFL)

        process = subprocess.Popen(["nnm", *LONG], cwd=self.folder.name, env=program.environment(),
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, preexec_fn=ignore)
        while process.poll() is None and not self.waits_for_signals(process.pid):
            time.sleep(0.05)
        process.send_signal(number)
        try:
            process.communicate(timeout=1 if number in ignored else program.TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            return None
        return process.returncode

    def test_codes(self):
        self.assertEqual(self.end(signal.SIGINT), 130)
        self.assertEqual(self.end(signal.SIGTERM), 143)
        self.assertEqual(self.end(signal.SIGHUP), 129)

    def test_ignored(self):
        """As by nohup: what is ignored when the program starts stays ignored."""
        self.assertIsNone(self.end(signal.SIGHUP, ignored=[signal.SIGHUP]))


if __name__ == "__main__":
    unittest.main()
