"""Completion in bash, zsh and fish, as far as they are installed: asked as the shells ask."""

import os
import pathlib
import pty
import shutil
import subprocess
import tempfile
import unittest

from program import environment, read_terminal

ASK = r"""
source <(nnm completion bash)
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_nnm
printf '%s\n' "${COMPREPLY[@]}"
"""


def run(*words, **kwargs):
    return subprocess.run(words, capture_output=True, text=True, env=environment(), check=True, **kwargs)


class InFolder(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        for name in ("net.yaml", "next one.yaml", "other.h5"):
            pathlib.Path(self.folder.name, name).touch()


class Bash(InFolder):
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

    def test_parses(self):
        subprocess.run(["bash", "-n"], input=run("nnm", "completion", "bash").stdout, text=True, check=True)


@unittest.skipUnless(shutil.which("fish"), "fish is not installed")
class Fish(InFolder):
    def complete(self, line):
        ask = "nnm completion fish | source; complete -C $argv[1]"
        out = run("fish", "--no-config", "-c", ask, line, cwd=self.folder.name)
        self.assertEqual(out.stderr, "")
        return sorted(line.split("\t")[0] for line in out.stdout.splitlines())

    def test_words(self):
        for line, words in (("nnm tr", ["trace", "train"]),
                            ("nnm --", ["--help", "--version"]),
                            ("nnm train x.yaml --res", ["--resume"]),
                            ("nnm summary --format ", ["csv", "json", "text"]),
                            ("nnm summary --format=j", ["--format=json"]),
                            ("nnm list mod", ["modules"]),
                            ("nnm train ne", ["net.yaml", "next one.yaml"]),
                            ("nnm predict net.yaml --input o", ["other.h5"]),
                            ("nnm sample net.yaml --top-k ", [])):
            self.assertEqual(self.complete(line), words, line)


@unittest.skipUnless(shutil.which("zsh"), "zsh is not installed")
class Zsh(InFolder):
    def complete(self, *lines):
        """What the lines become where a tab is pressed at their ends."""
        # Shells only complete for somebody who types; each line is printed in place of being run.
        keys = "autoload -U compinit && compinit -u -D; source <(nnm completion zsh); unsetopt beep\n"
        for line in lines:
            keys += line + "\t\x01print -r -- '=\x05'\n"
        process, terminal = pty.fork()
        if process == 0:
            os.chdir(self.folder.name)
            os.execvpe("zsh", ["zsh", "-f", "-i"], {**environment(), "TERM": "dumb"})
        os.write(terminal, (keys + "exit\n").encode())
        seen = read_terminal(terminal).decode(errors="replace")
        os.waitpid(process, 0)
        return [line[1:].rstrip() for line in seen.replace("\r", "").split("\n") if line.startswith("=")]

    def test_words(self):
        become = {"nnm comp": "nnm completion",
                  "nnm --ver": "nnm --version",
                  "nnm train x.yaml --res": "nnm train x.yaml --resume",
                  "nnm train --set a=1 --uns": "nnm train --set a=1 --unset",
                  "nnm train --set a=1 --se": "nnm train --set a=1 --set",
                  "nnm summary --format js": "nnm summary --format json",
                  "nnm list mod": "nnm list modules",
                  "nnm train net": "nnm train net.yaml",
                  "nnm predict net.yaml --input o": "nnm predict net.yaml --input other.h5"}
        self.assertEqual(self.complete(*become), list(become.values()))


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
