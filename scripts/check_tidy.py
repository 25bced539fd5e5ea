#!/usr/bin/env python3
"""Runs clang-tidy over the sources: check_tidy.py CLANG_TIDY [FILE ...].

Needs build/compile_commands.json. What passed is remembered in build/tidy by the content of the file
and of all that it includes, so that only what changed is looked at again.
"""

import concurrent.futures
import functools
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys

from sources import ROOT, cpp_files

MEMORY = ROOT / "build/tidy"
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.M)
UNITY = re.compile(r'^#include "(.*\.cpp)"', re.M)


@functools.cache
def included(path):
    """The files of the repository that this one names in its #include lines."""
    places = (ROOT, ROOT / "lib", ROOT / "tests", path.parent)
    names = INCLUDE.findall(path.read_text())
    return [found for found in (next((p / n for p in places if (p / n).is_file()), None) for n in names)
            if found]


@functools.cache
def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def key(path, command, base):
    """Names the file's content, that of all it includes, and what is run over it."""
    seen, todo = {path}, [path]
    while todo:
        for other in included(todo.pop()):
            if other not in seen:
                seen.add(other)
                todo.append(other)
    parts = [base, command, *sorted(f"{p} {digest(p)}" for p in seen)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def members(path):
    """The sources that a file stands for: where it was made to compile several as one, those."""
    return UNITY.findall(path.read_text()) if path.parent.name == "Unity" else [str(path)]


def commands():
    """The compile command of every file; of kernels, which are compiled per instruction set, one.

    Without headers compiled before, so that a file that lacks an #include is found out, and without an
    option that only GCC has.
    """
    gcc_headers = subprocess.run(["g++", "-print-file-name=include"], capture_output=True, text=True,
                                 check=True).stdout.strip()
    rows = json.loads((ROOT / "build/compile_commands.json").read_text())
    for row in rows:
        plain = re.sub(r" -W\S+| -O\d| -fno-thread-jumps| -include \S+cmake_pch\S+| -o \S+", "",
                       row["command"])
        # omp.h is GCC's, where clang has none; one of its attributes is too new for clang 14, as is
        # the name of a processor's level.
        row["command"] = (f"{plain} -Wno-everything -idirafter {gcc_headers} "
                          "'-D__malloc__(...)=__malloc__' '-D__builtin_cpu_supports(level)=1'")
    return {pathlib.Path(file): row | {"file": file, "command": row["command"].replace(row["file"], file)}
            for row in rows for file in members(pathlib.Path(row["file"]))}


def tidy(program, folder, path):
    """Gives what clang-tidy says of the file; nothing where it is clean."""
    done = subprocess.run([program, "--quiet", "-p", str(folder), str(path)], capture_output=True,
                          text=True, cwd=ROOT)
    return "" if done.returncode == 0 else done.stdout or done.stderr


def main():
    program, wanted = sys.argv[1], {ROOT / f for f in sys.argv[2:]}
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    base = version + digest(ROOT / ".clang-tidy")
    MEMORY.mkdir(parents=True, exist_ok=True)
    rows = commands()
    (MEMORY / "compile_commands.json").write_text(json.dumps(list(rows.values())))
    # Tests are left out: doctest's macros are most of what would be found there.
    paths = [ROOT / p for p in cpp_files() if p.endswith(".cpp") and not p.startswith("tests/")]
    keys = {path: key(path, rows[path]["command"], base) for path in paths if path in rows}
    todo = [p for p in keys if (not wanted or p in wanted) and not (MEMORY / keys[p]).exists()]
    # The largest first, so that no core waits for the last one.
    todo.sort(key=lambda p: -p.stat().st_size)
    found = set()
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for path, said in zip(todo, pool.map(lambda p: tidy(program, MEMORY, p), todo)):
            if not said:
                (MEMORY / keys[path]).touch()
            # A finding in a header is met again in each file that includes it.
            for line in (l.replace(f"{ROOT}/", "") for l in said.splitlines() if " error: " in l):
                if line not in found:
                    found.add(line)
                    print(line, flush=True)
            if said and not found:
                print(said)
                return 1
    for old in {p.name for p in MEMORY.iterdir()} - {*keys.values(), "compile_commands.json"}:
        (MEMORY / old).unlink()
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
