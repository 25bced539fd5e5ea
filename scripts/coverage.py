#!/usr/bin/env python3
# Prints which of PyTorch's tests and rules of modules have a test here; exit 1 if one has neither that nor a reason.
"""scripts/coverage.py [--source NAME] [--json]

Reads tests/nn/conformance.tsv: source, item, test case (or `-`), note. A row is mapped if its test
case stands in tests/, or if it has `-` and a note that says why it does not apply.
"""
import argparse
import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
CASE = re.compile(r'TEST_CASE\(\s*((?:"(?:[^"\\]|\\.)*"\s*)+)\)')
PIECE = re.compile(r'"((?:[^"\\]|\\.)*)"')


def test_cases():
    """Name of a test case -> its file."""
    cases = {}
    for path in sorted((ROOT / "tests").rglob("*.cpp")):
        for match in CASE.finditer(path.read_text()):
            cases["".join(PIECE.findall(match[1]))] = str(path.relative_to(ROOT))
    return cases


def rows(cases):
    for line in (ROOT / "tests/nn/conformance.tsv").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        source, item, case, note = (line.split("\t") + ["", "", ""])[:4]
        state = "tested" if case in cases else "n/a" if case == "-" and note else "UNMAPPED"
        yield {"source": source, "item": item, "test": case, "file": cases.get(case, ""),
               "note": note, "state": state}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", help="only the rows of one source")
    parser.add_argument("--json", action="store_true", help="as a list of objects")
    options = parser.parse_args()
    table = [r for r in rows(test_cases()) if options.source in (None, r["source"])]
    if options.json:
        print(json.dumps(table, indent=1))
    else:
        for r in table:
            shown = f'{r["file"]}: {r["test"]}' if r["state"] == "tested" else r["note"] or r["test"]
            print(f'{r["state"]:8} {r["source"]}: {r["item"]} -> {shown}')
        print(f'\n{"source":24} {"rows":>5} {"tested":>7} {"n/a":>5} {"unmapped":>9}')
        for source in list(dict.fromkeys(r["source"] for r in table)) + ["total"]:
            states = [r["state"] for r in table if source in ("total", r["source"])]
            print(f'{source:24} {len(states):5} {states.count("tested"):7} {states.count("n/a"):5} '
                  f'{states.count("UNMAPPED"):9}')
    return 1 if not table or any(r["state"] == "UNMAPPED" for r in table) else 0


if __name__ == "__main__":
    sys.exit(main())
