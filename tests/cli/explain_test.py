#!/usr/bin/env python3
"""nnm explain: each code has an example that yields it, and one put right that nothing is said of."""

import json
import pathlib
import shlex
import tempfile
import unittest

import program


def run(*words, cwd="/"):
    return program.nnm(*words, cwd=cwd)


def codes_of(case):
    """The exit code, and the codes of what is said, when a case's command runs on its config."""
    with tempfile.TemporaryDirectory() as where:
        (pathlib.Path(where) / "net.yaml").write_text(case["config"])
        if "base" in case:
            (pathlib.Path(where) / "base.yaml").write_text(case["base"])
        words = shlex.split(case["command"])
        assert words[0] == "nnm"
        done = run(*words[1:], "--diagnostics", "json", cwd=where)
        report = done.stdout if words[1] == "check" else done.stderr
        start = report.find("{\n")
        found = json.loads(report[start:])["diagnostics"] if start >= 0 else []
        return done.returncode, [d["code"] for d in found]


class Explain(unittest.TestCase):
    def test_every_code_is_shown_by_its_example(self):
        entries = json.loads(run("explain", "--format", "json").stdout)
        self.assertGreater(len(entries), 60)
        for e in entries:
            with self.subTest(code=e["code"]):
                exit_code, found = codes_of(e["wrong"])
                self.assertEqual(set(found), {e["code"]})
                # A file that cannot be loaded is an input file.
                self.assertIn(exit_code, (0,) if e["code"].startswith("W") else (2, 3))
                self.assertEqual(codes_of(e["right"]), (0, []))

    def test_text_shows_what_json_tells(self):
        e = json.loads(run("explain", "e0303", "--format", "json").stdout)
        text = run("explain", "E0303").stdout
        self.assertTrue(text.startswith(f"E0303: {e['title']}\n\n"))
        self.assertEqual(" ".join(text.split("\n\n")[1].split()), e["text"])
        for part in ("wrong", "right"):
            for line in e[part]["config"].splitlines():
                self.assertIn("    " + line + "\n", text)

    def test_without_a_code_all_are_listed(self):
        listed = run("explain").stdout
        for e in json.loads(run("explain", "--format", "json").stdout):
            self.assertIn(f"\n{e['code']}  ", listed)
            self.assertIn(e["title"], listed)

    def test_what_a_terminal_shows_may_be_pasted(self):
        self.assertEqual(run("explain", "error[E0303]:").stdout, run("explain", "E0303").stdout)

    def test_an_unknown_code_is_an_error_with_near_ones(self):
        for wrong, near in (("E9999", "E0510"), ("E0300", "E0301"), ("w0403", "W0402"),
                            ("typo", "E0101")):
            done = run("explain", wrong)
            self.assertEqual(done.returncode, 2)
            self.assertEqual(done.stdout, "")
            self.assertIn(f"there is no code `{wrong}`", done.stderr)
            self.assertIn(near, done.stderr)


if __name__ == "__main__":
    unittest.main()
