#!/usr/bin/env python3
"""Checks that every file includes its own room and lower floors only."""

import re
import sys

from sources import ROOT, cpp_files

# From the ground up; rooms of one floor do not know each other.
FLOORS = [["kernels"], ["base"], ["tensor"], ["autograd"], ["ops"], ["nn"], ["optim", "io"],
          ["lang", "data"], ["train", "trace"], ["run"], ["cli"]]
LEVEL = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"')


def room_of(path):
    """The room a path or an include belongs to; None outside of the house."""
    parts = path.split("/")
    if parts[0] == "lib":
        parts = parts[1:]
    if parts[0] == "nnm":
        # A header directly in nnm/ is for users and shows all rooms.
        return parts[1] if len(parts) > 2 else None
    return parts[0] if parts[0] in ("kernels", "cli") else None


def check(path, text):
    own = room_of(path)
    if own is None:
        return
    if own not in LEVEL:
        yield f"{path}:1: room `{own}` stands on no floor (see scripts/check_floors.py)"
        return
    for number, line in enumerate(text.splitlines(), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        if match[1].startswith("../"):
            yield f"{path}:{number}: include from the root, not `{match[1]}`"
        other = room_of(match[1])
        if other is None or other == own:
            continue
        if other not in LEVEL:
            yield f"{path}:{number}: room `{other}` stands on no floor"
        elif LEVEL[other] >= LEVEL[own]:
            yield f"{path}:{number}: {own} may not include {other}, which stands no lower"


def main():
    problems = [p for path in cpp_files() for p in check(path, (ROOT / path).read_text())]
    print("\n".join(problems), end="\n" if problems else "")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
