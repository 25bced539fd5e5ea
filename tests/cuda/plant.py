#!/usr/bin/env python3
"""Plants faults in the kernels for GPUs, one at a time, and counts which the self-test finds.

    tests/cuda/plant.py [--build BUILD] [--only FILE.cu ...] [--share N] [--list]

A fault is a barrier or a wait left out, or a bound or a mask that is off by one. The file with the fault, or of a header
one after another that includes it, is compiled for the emulated GPU, linked with the rest of it, and
the self-test of its slots is run with threads in forward, reverse and shuffled order. --share N
tries every Nth fault. Those that nothing can show are in UNSEEN, with the reason.
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
ORDERS = ("forward", "reverse", "shuffled:3")
TIMEOUT = 300

# A pattern in a kernel's file, and what takes its place.
FAULTS = (("no barrier", re.compile(r"__syncthreads\(\);"), ";"),
          ("no wait", re.compile(r"wait_for_copies\(\);"), ";"),
          ("mask off by one", re.compile(r"(?<=\bkey) > (?=query\b)"), " >= "),
          ("mask off by one", re.compile(r"(?<=\bkey) >= (?=s\.keys\b)"), " > "),
          ("bound off by one", re.compile(r"(?<=\bi) < (?=n\b|end\b|count\b|outputs\b)"), " <= "),
          ("bound off by one", re.compile(r"(?<=\bi) >= (?=n\b|end\b|count\b|packs\b|outputs\b)"), " > "),
          ("bound off by one", re.compile(r"(?<=\bi) < (?=n\b|end\b|count\b|outputs\b)"), " + 1 < "))

# By the lines before and at the fault: why no test can tell.
UNSEEN = {
    "block.h: __threadfence(); __syncthreads();":
        "what other blocks wrote is there before theirs is counted: emulated blocks run one after another",
    "gather.cu: int64_t i = global_thread(); if (i >= n) return;":
        "the element after the last is the first one again, with the same value",
}


def faults():
    """(file, offset, end, what, replacement) of every fault, in the order of the files."""
    folder = ROOT / "kernels/cuda"
    for path in sorted([*folder.glob("*.cu"), *folder.glob("*.h")]):
        text = path.read_text()
        found = [(m.start(), m.end(), what, to) for what, pattern, to in FAULTS for m in pattern.finditer(text)]
        for begin, end, what, to in sorted(found):
            if in_kernel(text, begin):
                yield path, begin, end, what, to


def in_kernel(text, at):
    """Whether the last function's head before a place is one of a kernel's code."""
    heads = list(re.finditer(r"^(?:template <[^\n]*>\n)?(__global__|__device__|[\w:<>*&]+ (?:\w+::)?\w+\()", text[:at], re.M))
    return bool(heads) and heads[-1][1].startswith("__")


def commands(build, name):
    """How ninja compiles an emulated file, and links the plug-in."""
    out = subprocess.run(["ninja", "-C", build, "-t", "commands", "nnm_cuda_emulated"], capture_output=True, text=True,
                         check=True).stdout.splitlines()
    compile_one = next(c for c in out if f"emulated/{name}.cpp.o -c" in c)
    link = next(c for c in reversed(out) if "-o libnnm_cuda_emulated.so" in c)
    return compile_one, link


def users(path):
    """The kernels' files that a file is compiled with: itself, or those that include it."""
    if path.suffix == ".cu":
        return [path]
    others = [f for f in sorted(path.parent.iterdir())
              if f.suffix in (".cu", ".h") and f'#include "kernels/cuda/{path.name}"' in f.read_text()]
    return list(dict.fromkeys(user for other in others for user in users(other)))


def slots(text):
    return re.findall(r"NNM_CUDA_KERNEL\((\w+),", text)


def built(build, folder, fault, user):
    """The emulated plug-in with a fault in one of its files."""
    path, begin, end, _, to = fault
    text = path.read_text()
    changed = folder / "kernels/cuda" / path.name
    changed.parent.mkdir(parents=True, exist_ok=True)
    changed.write_text(text[:begin] + to + text[end:])
    source, plugin = folder / "planted.cpp", folder / "libplanted.so"
    source.write_text(f'#include "{changed if user == path else user}"\n')
    compile_one, link = commands(build, user.stem)
    own = f"CMakeFiles/nnm_cuda_emulated.dir/emulated/{user.stem}.cpp.o"
    compile_one = re.sub(r"^\S*ccache ", "", compile_one).replace(f"{build}/emulated/{user.stem}.cpp", str(source))
    compile_one = re.sub(r"-MF \S+", f"-MF {folder}/d", compile_one.replace(f"-o {own}", f"-o {folder}/o"))
    link = link.replace(own, f"{folder}/o").replace("-o libnnm_cuda_emulated.so", f"-o {plugin}")
    for command in (compile_one.replace(" -I", f" -I{folder} -I", 1), link):
        subprocess.run(command, shell=True, cwd=build, check=True, capture_output=True)
    return plugin


def shown(build, plugin, user):
    """What shows the fault: an order of threads and a kernel, or None."""
    for order in ORDERS:
        env = {**os.environ, "NNM_CUDA_PLUGIN": str(plugin), "NNM_SIMT_ORDER": order, "LC_ALL": "C"}
        try:
            run = subprocess.run([build / "nnm", "selftest", *slots(user.read_text()), "--device", "cuda", "--failures"],
                                 env=env, capture_output=True, text=True, timeout=TIMEOUT, check=False)
        except subprocess.TimeoutExpired:
            return f"{order}: no end"
        if run.returncode:
            row = run.stdout.splitlines()[1:2] or run.stderr.splitlines()[:1]
            return f"{order}: {' '.join(row[0].split()[:2]) if row else run.returncode}"
    return None


def found(build, fault):
    for user in users(fault[0]):
        with tempfile.TemporaryDirectory() as folder:
            if what := shown(build, built(build, pathlib.Path(folder), fault, user), user):
                return f"{user.name}, {what}" if user != fault[0] else what
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--build", default=ROOT / "build", type=lambda p: pathlib.Path(p).resolve())
    parser.add_argument("--only", nargs="*", default=[], help="files")
    parser.add_argument("--share", type=int, default=1, help="every Nth fault")
    parser.add_argument("--list", action="store_true")
    o = parser.parse_args()
    passed, failed, skipped = 0, 0, 0
    chosen = [f for f in faults() if not o.only or f[0].name in o.only][:: o.share]
    for fault in chosen:
        path, begin, _, what, _ = fault
        text = path.read_text()
        line = text.count("\n", 0, begin) + 1
        before, code = (text.splitlines()[n].strip() for n in (line - 2, line - 1))
        where = f"{path.name}:{line}"
        reason = UNSEEN.get(f"{path.name}: {before} {code}")
        if o.list or reason:
            print(f"{where}: {what}: {code}" + (f"  [unseen: {reason}]" if reason else ""))
            skipped += reason is not None
            continue
        by = found(o.build, fault)
        passed, failed = passed + bool(by), failed + (not by)
        print(f"{'found ' if by else 'MISSED'} {where}: {what}: {code}{'  [' + by + ']' if by else ''}", flush=True)
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
