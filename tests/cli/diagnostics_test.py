#!/usr/bin/env python3
"""--diagnostics: what a terminal is shown, as JSON, SARIF 2.1.0 and GitHub's commands."""

import json
import pathlib
import tempfile
import unittest
import urllib.parse

import program

BAD = """nnm: 1
define:
  Net:
    modules:
      for i in range(2):
        fc${i}: Linear(4, 4, biass=false)
      café: Linear(4, hiden)
    inputs:
      x: f32[B, 4]
    forward:
      - return fc0(x)
model: Net()
"""
GOOD = "nnm: 1\nmodel: Linear(4, 3)\n"
WARNED = """nnm: 1
define:
  Linear:
    modules:
      c: Conv1d(4, 3, 1)
    inputs:
      x: f32[B, 4, 5]
model: Linear()
"""


def run(*words, code=2):
    done = program.nnm(*words, cwd=WHERE)
    assert done.returncode == code, (words, done.returncode, done.stderr)
    return done


def unescape(text):
    for escaped, char in (("%0A", "\n"), ("%0D", "\r"), ("%3A", ":"), ("%2C", ","), ("%25", "%")):
        text = text.replace(escaped, char)
    return text


class Diagnostics(unittest.TestCase):
    def test_json_holds_what_the_text_shows(self):
        found = json.loads(run("check", "bad, 1.yaml", "--diagnostics", "json").stdout)
        self.assertIs(found["ok"], False)
        first, second = found["diagnostics"]
        self.assertEqual({k: first[k] for k in ("code", "file", "line", "column", "end_column")},
                         {"code": "E0303", "file": "bad, 1.yaml", "line": 6, "column": 30,
                          "end_column": 35})
        self.assertEqual(first["help"], "did you mean `bias`?")
        self.assertIn("while expanding `for i in range(2)` (line 5) with i = 0", first["notes"])
        # Columns count code points.
        self.assertEqual((second["line"], second["column"], second["end_column"]), (7, 23, 28))
        text = run("check", "bad, 1.yaml").stderr
        for d in found["diagnostics"]:
            self.assertIn(f"error[{d['code']}]: {d['message']}\n", text)
            for note in d["notes"]:
                self.assertIn(f"= note: {note}\n", text)

    def test_format_and_diagnostics_mean_the_same_to_check(self):
        self.assertEqual(run("check", "bad, 1.yaml", "--format", "json").stdout,
                         run("check", "bad, 1.yaml", "--diagnostics", "json").stdout)

    def test_all_files_are_in_one_report(self):
        found = json.loads(run("check", "good.yaml", "bad, 1.yaml", "warned.yaml", "absent.h5",
                               "--diagnostics", "json").stdout)
        self.assertEqual([d["code"] for d in found["diagnostics"]],
                         ["E0303", "E0301", "W0201", ""])
        self.assertIn("absent.h5", found["diagnostics"][-1]["message"])
        self.assertIs(json.loads(run("check", "warned.yaml", "--diagnostics", "json",
                                     code=0).stdout)["ok"], True)

    def test_a_checkpoint_that_cannot_be_read_does_not_hide_the_others(self):
        found = json.loads(run("check", "broken.h5", "bad, 1.yaml", "--diagnostics", "json",
                               code=3).stdout)
        self.assertEqual(len(found["diagnostics"]), 3)
        self.assertIn("broken.h5", found["diagnostics"][0]["message"])

    def test_at_most_twenty_errors_and_how_many_more(self):
        found = json.loads(run("check", "many.yaml", "--diagnostics", "json").stdout)
        self.assertEqual((len(found["diagnostics"]), found["more"]), (20, 5))
        text = run("check", "many.yaml").stderr
        self.assertEqual(text.count("error["), 20)
        self.assertTrue(text.endswith("\n… 5 more errors\n"))

    def test_sarif(self):
        log = json.loads(run("check", "bad, 1.yaml", "--diagnostics", "sarif").stdout)
        self.assertEqual(log["version"], "2.1.0")
        self.assertIn("sarif-2.1.0", log["$schema"])
        (only,) = log["runs"]
        self.assertEqual(only["columnKind"], "unicodeCodePoints")
        driver = only["tool"]["driver"]
        self.assertEqual(driver["name"], "nnm")
        self.assertEqual(driver["version"], run("version", code=0).stdout.split()[1])
        rules = driver["rules"]
        self.assertEqual(len({r["id"] for r in rules}), len(rules))
        explained = {e["code"]: e for e in
                     json.loads(run("explain", "--format", "json", code=0).stdout)}
        for r in rules:
            e = explained.pop(r["id"])
            self.assertEqual(r["shortDescription"]["text"], e["title"])
            self.assertEqual(r["fullDescription"]["text"], e["text"])
            self.assertEqual(r["help"]["text"], run("explain", r["id"], code=0).stdout)
            self.assertEqual(r["defaultConfiguration"]["level"],
                             "warning" if r["id"].startswith("W") else "error")
        self.assertEqual(explained, {})
        told = json.loads(run("check", "bad, 1.yaml", "--diagnostics", "json").stdout)
        self.assertEqual(len(only["results"]), 2)
        for result, d in zip(only["results"], told["diagnostics"]):
            self.assertEqual(result["ruleId"], d["code"])
            self.assertEqual(rules[result["ruleIndex"]]["id"], d["code"])
            self.assertEqual(result["level"], "error")
            self.assertTrue(result["message"]["text"].startswith(d["message"]))
            self.assertIn(d["help"], result["message"]["text"])
            place = result["locations"][0]["physicalLocation"]
            self.assertEqual(urllib.parse.unquote(place["artifactLocation"]["uri"]), d["file"])
            self.assertNotIn(" ", place["artifactLocation"]["uri"])
            self.assertEqual(place["region"],
                             {"startLine": d["line"], "startColumn": d["column"],
                              "endLine": d["line"], "endColumn": d["end_column"]})
            self.assertEqual([n["message"]["text"] for n in result.get("relatedLocations", [])],
                             d["notes"])

    def test_sarif_of_a_good_file_and_of_an_absolute_path(self):
        log = json.loads(run("check", "good.yaml", "--diagnostics", "sarif", code=0).stdout)
        self.assertEqual(log["runs"][0]["results"], [])
        path = pathlib.Path(WHERE).resolve() / "bad, 1.yaml"
        log = json.loads(run("check", path, "--diagnostics", "sarif").stdout)
        place = log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]
        self.assertEqual(place["artifactLocation"]["uri"],
                         "file://" + urllib.parse.quote(str(path)))

    def test_github(self):
        lines = run("check", "bad, 1.yaml", "warned.yaml", "--diagnostics", "github").stdout
        told = json.loads(run("check", "bad, 1.yaml", "warned.yaml", "--diagnostics",
                              "json").stdout)["diagnostics"]
        self.assertEqual(len(lines.splitlines()), len(told))
        for line, d in zip(lines.splitlines(), told):
            kind, rest = line[2:].split(" ", 1)
            self.assertEqual(kind, "warning" if d["code"].startswith("W") else "error")
            properties, message = rest.split("::", 1)
            properties = {k: unescape(v) for k, v in
                          (p.split("=", 1) for p in properties.split(","))}
            self.assertEqual(properties, {"file": d["file"], "line": str(d["line"]),
                                          "col": str(d["column"]),
                                          "endColumn": str(d["end_column"]), "title": d["code"]})
            said = unescape(message).split("\n")
            self.assertEqual(said[0], d["message"])
            self.assertEqual(said[1:], (["help: " + d["help"]] if d["help"] else []) +
                             ["note: " + n for n in d["notes"]])

    def test_other_verbs_tell_on_stderr(self):
        told = json.loads(run("check", "bad, 1.yaml", "--diagnostics", "json").stdout)
        for verb in ("summary", "train", "trace"):
            done = run(verb, "bad, 1.yaml", "--diagnostics", "json")
            self.assertEqual(done.stdout, "")
            # Some verbs ask for more than check does.
            said = json.loads(done.stderr[done.stderr.index("{\n"):])["diagnostics"]
            for d in told["diagnostics"]:
                self.assertIn(d, said)
        # Errors without a place are told in the same form.
        done = run("train", "good.yaml", "--device", "gpu0", "--diagnostics", "json")
        (only,) = json.loads(done.stderr)["diagnostics"]
        self.assertIn("gpu0", only["message"])
        done = run("train", "good.yaml", "--device", "gpu0", "--diagnostics", "github")
        self.assertTrue(done.stderr.startswith("::error::"))

    def test_an_unknown_form_is_refused(self):
        for verb in ("check", "train"):
            self.assertIn("sarif", run(verb, "good.yaml", "--diagnostics", "xml").stderr)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as WHERE:
        many = "nnm: 1\nmodel:\n" + "".join(f"  - Liner({i}, 2)\n" for i in range(25))
        for name, text in (("bad, 1.yaml", BAD), ("good.yaml", GOOD), ("warned.yaml", WARNED),
                           ("many.yaml", many), ("broken.h5", "\x89HDF\r\n\x1a\n broken")):
            pathlib.Path(WHERE, name).write_bytes(
                text.encode("latin-1") if name == "broken.h5" else text.encode())
        unittest.main()
