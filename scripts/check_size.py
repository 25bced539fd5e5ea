#!/usr/bin/env python3
"""Checks lengths: 600 lines a file, 60 a function, 100 columns; and that a file says what it is."""

import re
import sys

from sources import ROOT, cpp_files

MAX_FILE, MAX_FUNCTION, MAX_COLUMNS = 600, 60, 100

TOKENS = re.compile(
    r'//[^\n]*|/\*.*?\*/|R"(?P<tag>[^(\s]*)\(.*?\)(?P=tag)"|"(?:\\.|[^"\\\n])*"'
    r"|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'|^[ \t]*\#(?:[^\n]*\\\n)*[^\n]*", re.S | re.M)
SCOPE = re.compile(r"\b(namespace|class|struct|union|enum|extern)\b")


def blanked(text):
    """The text with comments, strings and preprocessor lines as spaces, line breaks kept."""
    return TOKENS.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), text)


def functions(text):
    """Yields (first line, lines) of every outermost function body with its head."""
    code = blanked(text)
    stack = []  # per open brace: the offset of a function's head, or None
    head = 0    # where the present declaration starts
    for i, c in enumerate(code):
        inside = any(start is not None for start in stack)
        if c == "{":
            before = code[head:i].strip()
            # Parentheses without `class` or `=` before them head a function.
            is_function = (not inside and "(" in before
                           and not SCOPE.search(before.split("(")[0])
                           and not re.search(r"(?<![=!<>])=(?!=)\s*$", before))
            start = head + len(code[head:i]) - len(code[head:i].lstrip())
            stack.append(start if is_function else None)
        elif c == "}" and stack:
            start = stack.pop()
            if start is not None:
                first = code.count("\n", 0, start) + 1
                yield first, code.count("\n", start, i) + 1
        if not inside and c in "{};" or c == "}":
            head = i + 1


def check(path, text):
    lines = text.splitlines()
    if not lines or not lines[0].startswith("// "):
        yield f"{path}:1: a file opens with one sentence on what it holds"
    if len(lines) > MAX_FILE:
        yield f"{path}:{len(lines)}: {len(lines)} lines, at most {MAX_FILE}"
    if not text.endswith("\n"):
        yield f"{path}:{len(lines)}: no line break at the end"
    for number, line in enumerate(lines, 1):
        # A .def file is a table with a row per line.
        if len(line) > MAX_COLUMNS and not path.endswith(".def"):
            yield f"{path}:{number}: {len(line)} columns, at most {MAX_COLUMNS}"
        if re.search(r"\b(TODO|FIXME|XXX)\b", line):
            yield f"{path}:{number}: unfinished business belongs elsewhere"
    for first, length in functions(text):
        if length > MAX_FUNCTION:
            yield f"{path}:{first}: a function of {length} lines, at most {MAX_FUNCTION}"


def main():
    problems = [p for path in cpp_files() for p in check(path, (ROOT / path).read_text())]
    print("\n".join(problems), end="\n" if problems else "")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
