#!/usr/bin/env python3
"""The C++ programs of tests/examples print what their Python originals print with PyTorch."""

import os
import subprocess
import sys
import tempfile
import unittest

from program import BUILD, ROOT, TIMEOUT

EXAMPLES = ROOT / "tests/examples"


class Examples(unittest.TestCase):
    maxDiff = None

    def test_every_original_has_a_program(self):
        self.assertEqual({p.stem for p in EXAMPLES.glob("*.cpp")}, {p.stem for p in EXAMPLES.glob("*.txt")})

    def test_outputs(self):
        for source in sorted(EXAMPLES.glob("*.cpp")):
            with self.subTest(source.stem), tempfile.TemporaryDirectory() as folder:
                done = subprocess.run([BUILD / "examples" / source.stem, EXAMPLES / "weights.h5", "model.h5"],
                                      cwd=folder, env=dict(os.environ, LC_ALL="C.UTF-8"), text=True,
                                      capture_output=True, timeout=TIMEOUT, check=False)
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                self.assertEqual(done.stdout, source.with_suffix(".txt").read_text())


if __name__ == "__main__":
    sys.exit(0 if unittest.main(exit=False, verbosity=0).result.wasSuccessful() else 1)
