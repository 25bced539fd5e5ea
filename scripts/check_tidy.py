#!/usr/bin/env python3
"""Runs clang-tidy over the sources: check_tidy.py CLANG_TIDY [FILE ...].

Needs build/compile_commands.json. What passed is remembered in build/tidy by the content of the file
and of all that it includes, so that only what changed is looked at again. Files that are compiled as one
are looked at as one where several of them are new: the headers take most of the time.
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
    """The compile command that compiles each file; of kernels, which have one per instruction set, one.

    Without headers compiled before, so that a file that lacks an #include is found out (unless one
    beside it has it), and without an option that only GCC has.
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
    return {pathlib.Path(file): row for row in rows for file in members(pathlib.Path(row["file"]))}


def of_file(row, file):
    """A compile command with another file in its file's place."""
    return row | {"file": file, "command": row["command"].replace(row["file"], file)}


def jobs(todo, rows):
    """The files that are looked at together, the largest first, so that no core waits for the last one."""
    groups = {}
    for path in todo:
        groups.setdefault(rows[path]["file"], []).append(path)
    return sorted(groups.values(), key=lambda paths: -sum(p.stat().st_size for p in paths))


def source_of(paths, rows):
    """The file to look at for several: itself, or one that includes them, and its compile command."""
    row, file = rows[paths[0]], paths[0]
    if len(paths) > 1:
        file = MEMORY / pathlib.Path(row["file"]).name
        file.write_text("".join(f'#include "{p}"\n' for p in paths))
    return of_file(row, str(file))


def tidy(program, file):
    """Gives what clang-tidy says of the file; nothing where it is clean."""
    done = subprocess.run([program, "--quiet", "-p", str(MEMORY), file], capture_output=True, text=True,
                          cwd=ROOT)
    return "" if done.returncode == 0 else done.stdout or done.stderr


def main():
    program, wanted = sys.argv[1], {ROOT / f for f in sys.argv[2:]}
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    base = version + digest(ROOT / ".clang-tidy")
    MEMORY.mkdir(parents=True, exist_ok=True)
    rows = commands()
    # Tests are left out: doctest's macros are most of what would be found there.
    paths = [ROOT / p for p in cpp_files() if p.endswith(".cpp") and not p.startswith("tests/")]
    keys = {path: key(path, of_file(rows[path], str(path))["command"], base) for path in paths if path in rows}
    todo = [p for p in keys if (not wanted or p in wanted) and not (MEMORY / keys[p]).exists()]
    batches = jobs(todo, rows)
    sources = [source_of(paths, rows) for paths in batches]
    (MEMORY / "compile_commands.json").write_text(json.dumps(sources))
    found = set()
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(lambda row: tidy(program, row["file"]), sources)
        for paths, said in zip(batches, results):
            if not said:
                for path in paths:
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
