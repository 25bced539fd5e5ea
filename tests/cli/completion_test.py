"""Completion in bash: what `nnm completion bash` says, asked as bash asks it."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

from program import environment

ASK = r"""
source <(nnm completion bash)
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_nnm
printf '%s\n' "${COMPREPLY[@]}"
"""


def run(*words, **kwargs):
    return subprocess.run(words, capture_output=True, text=True, env=environment(), check=True, **kwargs)


class Bash(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        for name in ("net.yaml", "next one.yaml", "other.h5"):
            pathlib.Path(self.folder.name, name).touch()

    def complete(self, *words):
        out = run("bash", "-c", ASK, "bash", *words, cwd=self.folder.name)
        self.assertEqual(out.stderr, "")
        return sorted(filter(None, out.stdout.split("\n")))

    def test_verbs(self):
        self.assertEqual(self.complete("nnm", "tr"), ["trace", "train"])
        self.assertIn("--version", self.complete("nnm", "--"))
        verbs = self.complete("nnm", "")
        for verb in verbs:
            if not verb.startswith("-"):
                run("nnm", verb, "--help")
                run("nnm", "help", verb)

    def test_options(self):
        self.assertEqual(self.complete("nnm", "train", "x.yaml", "--res"), ["--resume"])
        self.assertEqual(self.complete("nnm", "sample", "--top"), ["--top-k", "--top-p"])

    def test_choices(self):
        self.assertEqual(self.complete("nnm", "summary", "--format", ""), ["csv", "json", "text"])
        self.assertEqual(self.complete("nnm", "summary", "--format", "=", "js"), ["json"])
        self.assertEqual(self.complete("nnm", "summary", "--format", "="), ["csv", "json", "text"])
        self.assertEqual(self.complete("nnm", "completion", ""), ["bash", "fish", "zsh"])
        self.assertEqual(self.complete("nnm", "list", "mod"), ["modules"])
        self.assertIn("resnet", self.complete("nnm", "init", "--template", ""))

    def test_files(self):
        self.assertEqual(self.complete("nnm", "train", "ne"), ["net.yaml", "next one.yaml"])
        self.assertEqual(self.complete("nnm", "predict", "net.yaml", "--input", "o"), ["other.h5"])
        self.assertEqual(self.complete("nnm", "sample", "net.yaml", "--top-k", ""), [])

    def test_every_option_is_known(self):
        """What the help of a verb lists is what is completed."""
        for verb in self.complete("nnm", ""):
            if verb.startswith("-"):
                continue
            text = run("nnm", verb, "--help").stdout
            listed = {word.rstrip(",") for line in text.splitlines() if line.startswith("  -")
                      for word in line.split("  ")[1].replace(",", " ").split()
                      if word.startswith("--")}
            completed = set(self.complete("nnm", verb, "--"))
            self.assertEqual(listed - completed, set(), verb)

    def test_other_shells(self):
        for shell in ("zsh", "fish"):
            script = run("nnm", "completion", shell).stdout
            self.assertIn("nnm", script)
            if shutil.which(shell):
                subprocess.run([shell, "-n"], input=script, text=True, check=True)

    def test_parses(self):
        subprocess.run(["bash", "-n"], input=run("nnm", "completion", "bash").stdout, text=True, check=True)


class Manual(unittest.TestCase):
    def test_roff(self):
        page = run("nnm", "man").stdout
        for word in ("\\-\\-resume", "EXIT STATUS", "nnm train", "bench"):
            self.assertIn(word, page)
        for tool in (["mandoc", "-Tlint", "-Wwarning"], ["groff", "-Kutf8", "-ww", "-man", "-Tutf8", "-z"]):
            if shutil.which(tool[0]):
                out = subprocess.run(tool, input=page, text=True, capture_output=True)
                self.assertEqual((out.returncode, out.stdout, out.stderr), (0, "", ""), tool)


if __name__ == "__main__":
    unittest.main()
