#!/usr/bin/env python3
"""scripts/ci_example.sh: the pipeline that others copy, from a good config to every way of failing."""

import json
import pathlib
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

import program

TESTS = """
tests:
  - params(model) == 67
  - params(model) > 10
"""


class Pipeline(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="nnm-ci-")
        self.where = pathlib.Path(self.folder.name)
        self.config = (program.ROOT / "tests/cli/tiny.yaml").read_text() + TESTS

    def tearDown(self):
        self.folder.cleanup()

    def run_it(self, **variables):
        (self.where / "net.yaml").write_text(self.config)
        env = {**program.environment(), "NNM_ACCURACY": "0", **variables}
        done = subprocess.run([program.ROOT / "scripts/ci_example.sh", "net.yaml"], cwd=self.where, env=env,
                              capture_output=True, text=True, timeout=program.TIMEOUT)
        return done.returncode, done.stdout.splitlines(), done.stderr

    def test_a_good_config_passes_every_step(self):
        code, said, err = self.run_it()
        self.assertEqual(code, 0, err)
        self.assertEqual([line.split(None, 1) for line in said],
                         [["ok", s] for s in ("check", "tests", "train", "eval", "verify", "train again",
                                              "same twice")])
        out = self.where / "ci"
        self.assertEqual(json.loads((out / "check.sarif").read_text())["runs"][0]["results"], [])
        self.assertEqual(len(list(xml.etree.ElementTree.parse(out / "junit.xml").iter("testcase"))), 2)
        self.assertEqual(json.loads((out / "train.json").read_text())["exit_code"], 0)
        self.assertIn("acc", json.loads((out / "eval.json").read_text())["metrics"])

    def test_a_config_without_tests_passes_the_others(self):
        self.config = self.config.replace(TESTS, "")
        code, said, err = self.run_it()
        self.assertEqual(code, 0, err)
        self.assertEqual(said[1], "--    tests: the config has none")
        self.assertEqual(len(said), 7)

    def test_failures_end_it_with_their_exit_code(self):
        for change, variables, step, code in ((("Linear(4, hidden)", "Linear(5, hidden)"), {}, "check", 2),
                                              (("== 67", "== 68"), {}, "tests", 1),
                                              (("", ""), {"NNM_ACCURACY": "1.1"}, "eval", 1),
                                              (("", ""), {"NNM_TIME_LIMIT": "0.001 s", "NNM_MAX": "1 h"},
                                               "train", 75)):
            good, self.config = self.config, self.config.replace(*change)
            with self.subTest(step=step):
                got, said, err = self.run_it(**variables)
                self.assertEqual(got, code, err)
                self.assertRegex(said[-1], f"^(FAIL|LATER) +{step}: ")
            self.config = good

    def test_a_job_that_ran_out_of_time_goes_on(self):
        codes = [self.run_it(NNM_TIME_LIMIT="0.4 s", NNM_MAX="1000000 steps")[0] for _ in range(2)]
        self.assertEqual(codes, [75, 75])
        step = json.loads((self.where / "ci/run/status.json").read_text())["step"]
        code, said, err = self.run_it(NNM_MAX=f"{step + 10} steps")
        self.assertEqual((code, len(said)), (0, 7), err)


if __name__ == "__main__":
    sys.exit(0 if unittest.main(exit=False, verbosity=0).result.wasSuccessful() else 1)
