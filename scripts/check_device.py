#!/usr/bin/env python3
"""Checks that code of GPUs passes no constant of a namespace to std::min, std::max or std::clamp.

They take references, so that a GPU would read the constant where the host has it. nvcc says nothing,
and the emulation of CUDA on the CPU cannot see it."""

import re
import sys

from check_floors import INCLUDE
from check_size import SCOPE, blanked
from sources import ROOT, cpp_files

MARK = re.compile(r"\b(__device__|__global__|NNM_HD|constexpr)\b")
CALL = re.compile(r"\bstd\s*::\s*(min|max|clamp)\s*(?:<[^<>()]*>)?\s*\(")
TEMPLATE = re.compile(r"\btemplate\s*<(?:[^<>]|<(?:[^<>]|<[^<>]*>)*>)*>")
CONSTANT = re.compile(r"\b(?:constexpr|const)\s[^;()]*?[={][^;]*;")
DECLARED = re.compile(r"\b(k[A-Z]\w*)\s*(?:\[[^\]]*\]\s*)*(?:=(?!=)|\{)")


def regions(code):
    """Yields (begin, end, head, inside): what lies in no function's body, and each outermost function
    with its head, initializers among it."""
    stack, head, outside = [], 0, 0
    for i, c in enumerate(code):
        inside = any(start is not None for start in stack)
        if c == "{":
            before = TEMPLATE.sub("", code[head:i])
            named = "(" in before and not SCOPE.search(before.split("(")[0])
            function = not inside and named and not re.search(r"(?<![=!<>])=(?!=)\s*$", before)
            if function:
                yield outside, head, "", False
            stack.append(head if function else None)
        elif c == "}" and stack:
            start = stack.pop()
            if start is not None:
                yield start, i + 1, code[start:code.index("{", start)], True
                outside = i + 1
        if not inside and c in "{};" or c == "}":
            head = i + 1
    yield outside, len(code), "", False


def constants(code):
    """The names of constants outside of functions."""
    names = set()
    for begin, end, _, inside in regions(code):
        if inside:
            continue
        for declaration in CONSTANT.findall(code[begin:end]):
            names |= set(DECLARED.findall(declaration))
    return names


def arguments(code, at):
    """The arguments of a call whose parenthesis opens before `at`."""
    depth, begin, out = 0, at, []
    for i in range(at, len(code)):
        c = code[i]
        if c in "([{":
            depth += 1
        elif c in ")]}":
            if depth == 0:
                return out + [code[begin:i]]
            depth -= 1
        elif c == "," and depth == 0:
            out.append(code[begin:i])
            begin = i + 1
    return out


def check(path, code, known):
    for begin, end, head, inside in regions(code):
        if not inside or not MARK.search(head):
            continue
        for call in CALL.finditer(code, begin, end):
            for argument in arguments(code, call.end()):
                name = re.fullmatch(r"[\s(]*(?:\w+\s*::\s*)*(\w+)[\s)]*", argument)
                if name and name[1] in known:
                    line = code.count("\n", 0, call.start()) + 1
                    yield (f"{path}:{line}: std::{call[1]} takes the address of `{name[1]}`, which a GPU"
                           f" does not have; write `+{name[1]}`, or compare with `?:`")


def device_files():
    """The sources of kernels for GPUs and all headers they include."""
    todo = [p for p in cpp_files() if p.startswith("kernels/cuda/") and p.endswith((".cu", ".cuh", ".h"))]
    seen = set(todo)
    while todo:
        path = todo.pop()
        for line in (ROOT / path).read_text().splitlines():
            match = INCLUDE.match(line)
            if match and match[1] not in seen and (ROOT / match[1]).is_file():
                seen.add(match[1])
                todo.append(match[1])
    return sorted(p for p in seen if "/emulated/" not in p)


def main():
    code = {path: blanked((ROOT / path).read_text()) for path in device_files()}
    known = set().union(*map(constants, code.values()))
    problems = [p for path, text in code.items() for p in check(path, text, known)]
    print("\n".join(problems), end="\n" if problems else "")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
