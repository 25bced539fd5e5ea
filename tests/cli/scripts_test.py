#!/usr/bin/env python3
"""The scripts of scripts/ as a newcomer meets them: --help, typing errors, a machine on which nothing
may be installed, another folder."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

import program

SCRIPTS = program.ROOT / "scripts"
TOOLS = ("bash", "cat", "cut", "dirname", "gzip", "mkdir", "rm", "sed", "sha256sum")


def run(*words, **more):
    done = subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60, **more)
    return done.returncode, done.stdout, done.stderr


def tool(folder, name, text):
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


class Scripts(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="nnm-scripts-")
        self.addCleanup(folder.cleanup)
        self.where = pathlib.Path(folder.name)
        self.bin = self.where / "bin"
        self.bin.mkdir()
        for name in TOOLS:
            os.symlink(shutil.which(name), self.bin / name)
        self.env = {"PATH": str(self.bin), "HOME": str(self.where)}

    def test_help_is_printed_and_nothing_done(self):
        for name in ("build", "demo", "fuzz", "get_data", "gpu", "lint", "test"):
            for folder, script in ((self.where, SCRIPTS / f"{name}.sh"), (SCRIPTS, f"./{name}.sh")):
                code, out, err = run("bash", script, "--help", cwd=folder, env=self.env)
                self.assertEqual((code, err), (0, ""), name)
                self.assertNotIn("#", out.splitlines()[0])
                self.assertGreater(len(out), 60, name)

    def test_what_is_no_option_is_refused(self):
        for name, word in (("build", "--cdua"), ("demo", "digits"), ("fuzz", "ten"), ("lint", "tidy"), ("test", "full")):
            code, out, err = run("bash", SCRIPTS / f"{name}.sh", word, env=self.env)
            self.assertEqual((code, out), (2, ""), name)
            self.assertIn(f"scripts/{name}.sh", err)

    def test_without_rights_it_says_what_to_install(self):
        tool(self.bin, "id", "echo 1000")
        tool(self.bin, "dpkg-query", "exit 1")
        for name in ("build", "demo", "test"):
            code, out, err = run("bash", SCRIPTS / f"{name}.sh", env=self.env)
            self.assertEqual((code, out), (1, ""), err)
            self.assertIn("as root, once:\n  apt-get update && apt-get install g++ cmake ninja-build ", err)

    def test_data_go_beside_the_configs_from_every_folder(self):
        (self.where / "scripts").mkdir()
        shutil.copy(SCRIPTS / "get_data.sh", self.where / "scripts")
        elsewhere = self.where / "elsewhere"
        elsewhere.mkdir()
        code, _, err = run("bash", "../scripts/get_data.sh", "mnist", cwd=elsewhere,
                           env={**self.env, "NNM_DATA_DIR": "mine"})
        self.assertEqual(code, 1)
        self.assertIn("elsewhere/mine/mnist/train-images-idx3-ubyte.gz does not exist", err)
        self.assertTrue((self.where / "configs/data/mnist").is_dir())
        self.assertEqual(list(elsewhere.iterdir()), [])
        code, _, err = run("bash", "scripts/get_data.sh", "mnist", cwd=self.where, env=self.env)
        self.assertIn("apt-get install curl ca-certificates", err)

    def test_a_pipeline_without_nnm_says_so(self):
        code, _, err = run("bash", SCRIPTS / "ci_example.sh", "net.yaml", env=self.env, cwd=self.where)
        self.assertEqual((code, list(self.where.iterdir())), (2, [self.bin]))
        self.assertIn("nnm is not in the PATH", err)


if __name__ == "__main__":
    sys.exit(0 if unittest.main(exit=False, verbosity=0).result.wasSuccessful() else 1)
