#!/usr/bin/env python3
"""Readers that are gone, as behind `| head -1`: no verb minds, and what it writes besides is whole."""

import os
import pathlib
import subprocess
import tempfile
import unittest

import program

TRAIN = ("train: {max: 3 epochs, loss: 'cross_entropy(out, y)', optimizer: SGD(lr=0.1), "
         "metrics: {acc: 'accuracy(out, y)'}}\n")
TEXT = """nnm: 1
model: {Sequential: [Embedding(256, 8), Linear(8, 256)]}
data: {train: {text: t.txt, tokenizer: byte, context: 4}}
train: {max: 2 steps, loss: 'cross_entropy(flatten(out, 0, 1), flatten(y))', optimizer: SGD(lr=0.1)}
"""


class Gone(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path("net.yaml").write_text(program.SMALL_NET + TRAIN)

    def path(self, name):
        return pathlib.Path(self.folder.name, name)

    def unread(self, *words, stderr=subprocess.PIPE):
        """(exit code, stderr) of a command with a stdout that nobody reads."""
        read, write = os.pipe()
        os.close(read)
        try:
            done = subprocess.run(["nnm", *words], cwd=self.folder.name, env=program.environment(),
                                  stdin=subprocess.DEVNULL, stdout=write,
                                  stderr=write if stderr is None else stderr, text=True,
                                  timeout=program.TIMEOUT)
        finally:
            os.close(write)
        return done.returncode, done.stderr or ""

    def train(self):
        self.assertEqual(program.nnm("train", "net.yaml", "-q", cwd=self.folder.name).returncode, 0)

    def test_reading_verbs(self):
        self.train()
        last = "runs/net/latest/checkpoints/last.h5"
        for words in (["help"], ["--help"], ["--version"], ["list", "modules"], ["config", "net.yaml"],
                      ["inspect", last], ["verify", last], ["summary", "net.yaml"], ["schema"]):
            self.assertEqual(self.unread(*words), (0, ""), words)

    def test_verdict_stays(self):
        self.train()
        self.assertEqual(self.unread("eval", "net.yaml", "-q")[0], 0)
        code, err = self.unread("eval", "net.yaml", "-q", "--assert", "acc > 2")
        self.assertEqual(code, 1)
        self.assertIn("not true: acc > 2", err)

    def test_files_are_whole(self):
        for run, stderr in (("a", subprocess.PIPE), ("b", None)):
            self.assertEqual(self.unread("train", "net.yaml", "--run", run, stderr=stderr)[0], 0)
            done = program.nnm("verify", f"{run}/checkpoints/last.h5", cwd=self.folder.name)
            self.assertEqual(done.returncode, 0)
            self.assertIn('"reason": "max_epochs"', self.path(run + "/status.json").read_text())
        for name, verb, *words in (["p.h5", "predict", "--split", "val"], ["t.h5", "trace", "--hook", "forward"],
                                   ["e.dot", "export", "--to", "dot"]):
            self.assertEqual(self.unread(verb, "a", "-q", *words, "-o", name), (0, ""))
            self.assertTrue(self.path(name).exists())

    def test_endless_text(self):
        self.path("t.txt").write_text("to be or not to be, that is the question\n" * 4)
        self.path("text.yaml").write_text(TEXT)
        code = program.nnm("train", "text.yaml", "-q", cwd=self.folder.name).returncode
        self.assertEqual(code, 0)
        words = ["sample", "text.yaml", "-q", "--prompt", "to", "--tokens", str(2 ** 30)]
        self.assertEqual(self.unread(*words), (0, ""))

    def test_full_disk(self):
        with open("/dev/full", "w", encoding="ascii") as full:
            done = subprocess.run(["nnm", "version"], env=program.environment(), stdout=full,
                                  stderr=subprocess.PIPE, text=True, check=False)
        self.assertEqual(done.returncode, 4)
        self.assertIn("cannot write to standard output", done.stderr)


if __name__ == "__main__":
    unittest.main()
