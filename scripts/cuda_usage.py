#!/usr/bin/env python3
"""Compares what the kernels of the CUDA plug-in need with kernels/cuda/usage.tsv.

    scripts/cuda_usage.py [--write] [BUILD]

The table has a row for each kernel and architecture: the most registers, bytes of stack and bytes of
spills (stores and loads) of all its instances, as ptxas tells of a build (kernels/cuda/nvcc.sh keeps
it). Spills and stack may not grow, registers by 8 at most; another version of nvcc than the table's
may choose registers and stack as it likes. --write takes the build's numbers over.
"""

import argparse
import collections
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
TABLE = ROOT / "kernels/cuda/usage.tsv"
HEAD = ("file", "kernel", "architecture", "registers", "stack", "spills")
SLACK = 8

ENTRY = re.compile(r"Compiling entry function '(\S+)' for 'sm_(\w+)'")
STACK = re.compile(r"^\s+(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
REGISTERS = re.compile(r"Used (\d+) registers")

Usage = collections.namedtuple("Usage", "registers stack spills")


def name_of(mangled):
    """The unqualified name of a function: _ZN3nnm4cuda4fillIfEEvPT_ is fill."""
    at, name = re.match(r"_Z(?:N[rVK]*)?", mangled).end(), mangled
    while length := re.match(r"\d+", mangled[at:]):
        begin = at + length.end()
        at = begin + int(length[0])
        name = mangled[begin:at]
    return name


def read_usage(folder, sources):
    """{(file, kernel, architecture): Usage} of a build."""
    most = {}
    for source in sources:
        key, stack = None, (0, 0)
        for line in (folder / f"{source}.o.usage").read_text().splitlines():
            if entry := ENTRY.search(line):
                key, stack = (source, name_of(entry[1]), entry[2]), (0, 0)
            elif (frame := STACK.match(line)) and key:
                stack = int(frame[1]), int(frame[2]) + int(frame[3])
            elif (used := REGISTERS.search(line)) and key:
                now = Usage(int(used[1]), *stack)
                most[key] = Usage(*map(max, now, most.get(key, now)))
                key = None
    return most


def read_table():
    """The version of nvcc, and what the table says."""
    if not TABLE.exists():
        return "", {}
    first, _, *rows = TABLE.read_text().splitlines()
    cells = [row.split("\t") for row in rows]
    return first.split()[-1], {tuple(c[:3]): Usage(*map(int, c[3:])) for c in cells}


def write_table(version, usage):
    rows = ["\t".join(map(str, (*key, *usage[key]))) for key in sorted(usage)]
    TABLE.write_text(f"# of nvcc {version}\n" + "\n".join(["\t".join(HEAD), *rows]) + "\n")


def problems(built, known, same_compiler):
    """What is wrong, a sentence each."""
    architectures = {key[2] for key in built}
    for key, now in sorted(built.items()):
        where = f"{key[0]}: {key[1]} for sm_{key[2]}"
        if key not in known:
            yield f"{where} is not in the table: look at {now}, and add it with --write"
            continue
        before = known[key]
        if now.spills > before.spills:
            yield f"{where} spills {now.spills} bytes, {before.spills} before"
        if same_compiler and now.stack > before.stack:
            yield f"{where} has a stack of {now.stack} bytes, {before.stack} before"
        if same_compiler and now.registers > before.registers + SLACK:
            yield f"{where} takes {now.registers} registers, {before.registers} before"
    for key in sorted(known):
        if key[2] in architectures and key not in built:
            yield f"{key[0]}: {key[1]} for sm_{key[2]} is in the table and not in the build"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--write", action="store_true", help="take the build's numbers over")
    parser.add_argument("build", nargs="?", default=ROOT / "build", type=pathlib.Path)
    o = parser.parse_args()
    sources = sorted(p.name for p in (ROOT / "kernels/cuda").glob("*.cu"))
    built = read_usage(o.build / "CMakeFiles/nnm_cuda.dir/kernels/cuda", sources)
    compiler = next(o.build.glob("CMakeFiles/*/CMakeCUDACompiler.cmake")).read_text()
    version = re.search(r'CMAKE_CUDA_COMPILER_VERSION "([^"]+)"', compiler)[1]
    table_version, known = read_table()
    architectures = {key[2] for key in built}
    if o.write:
        write_table(version, {k: u for k, u in known.items() if k[2] not in architectures} | built)
        return 0
    wrong = list(problems(built, known, version == table_version))
    for line in wrong:
        print(f"kernels/cuda/{line}")
    spilling = sum(u.spills > 0 for u in built.values())
    print(f"{len({k[:2] for k in built})} kernels for {', '.join('sm_' + a for a in sorted(architectures))}"
          f" by nvcc {version}, {spilling} of {len(built)} with spills")
    print(f"{len(built)} passed, 0 failed, 0 skipped" if not wrong else
          f"{max(0, len(built) - len(wrong))} passed, {len(wrong)} failed, 0 skipped")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
