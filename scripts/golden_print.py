#!/usr/bin/env python3
"""Writes tests/golden/print.txt: how PyTorch prints tensors, for a test that runs without it.

Each case is a line `> DTYPE SHAPE VALUES; STEPS`, followed by the text; `> NAME=VALUE … | DTYPE …` prints it
under these options of torch.set_printoptions. VALUES is `cycle a b …`, the
numbers in turn, or `uniform KEY SCALE SHIFT`, golden.py's numbers. STEPS change the tensor before it
is printed; STEPS below says what they are.
"""

import math

import torch

from golden import FOLDER, uniform

DTYPES = {"f32": torch.float32, "f64": torch.float64, "bf16": torch.bfloat16, "f16": torch.float16,
          "i64": torch.int64, "i32": torch.int32, "i16": torch.int16,
          "i8": torch.int8, "u8": torch.uint8, "bool": torch.bool}

STEPS = {
    "t": lambda x: x.transpose(0, 1), "every2": lambda x: x[::2], "grad": lambda x: x.requires_grad_(),
    "parameter": lambda x: torch.nn.Parameter(x, requires_grad=x.is_floating_point()),
    "frozen": lambda x: torch.nn.Parameter(x, requires_grad=False), "meta": lambda x: x.to("meta"),
    "mul": lambda x: x * 2, "add": lambda x: x + 1, "relu": torch.relu, "sum": lambda x: x.sum(),
    "mean": lambda x: x.mean(), "mm": lambda x: x @ x, "detach": lambda x: x.detach(),
    "softmax": lambda x: x.softmax(-1), "log_softmax": lambda x: x.log_softmax(-1),
    "leaky_relu": lambda x: torch.nn.functional.leaky_relu(x, 0.5),
    "linear": lambda x: torch.nn.functional.linear(x, x, x[:, 0]),
    "reshape": lambda x: x.reshape(-1), "permute": lambda x: x.permute(1, 0),
    "cat": lambda x: torch.cat([x, x]), "list": lambda x: [x, 1.5], "dict": lambda x: {"a": x, "b": None},
    "tuple": lambda x: (x,),
}


def values(spec, n):
    kind, *words = spec.split()
    if kind == "cycle":
        return [float(words[i % len(words)]) for i in range(n)]
    key, scale, shift = words
    return [u * float(scale) + float(shift) for u in uniform(key, n)]


OPTIONS = {"precision": int, "threshold": float, "edgeitems": int, "linewidth": int, "profile": str,
           "sci_mode": lambda word: word == "true"}


def case(line):
    options, _, line = line.rpartition("| ")
    pairs = (word.split("=") for word in options.split())
    torch.set_printoptions(profile="default")
    torch.set_printoptions(**{name: OPTIONS[name](value) for name, value in pairs})
    return f"{tensor(line)!r}"


def tensor(line):
    head, *steps = line.split(";")
    dtype, rest = head.split(" ", 1)
    shape, spec = rest[1:].split("]", 1)
    shape = [int(s) for s in shape.split(",") if s.strip()]
    numbers = torch.tensor(values(spec, math.prod(shape)), dtype=torch.float64)
    x = numbers.to(DTYPES[dtype]).reshape(shape)
    for step in " ".join(steps).split():
        x = STEPS[step](x)
    return x


def floats():
    styles = ["cycle 1 2 3", "cycle 0.5 -1.25 3", "cycle 0", "cycle -0.0 0", "cycle nan", "cycle inf -inf",
              "cycle 1 nan", "cycle 0.25 nan inf -inf", "cycle 1 1000", "cycle 1 1001", "cycle 0.001 1",
              "cycle 0.0009 1", "cycle 1e-4 0", "cycle 9.9e-5 0", "cycle 1e8", "cycle 1.5e8 nan", "cycle 12345.678",
              "cycle 0.00005", "cycle 1e-30 1e30", "cycle 0.99999 0.00004", "cycle -1 -10 -100", "cycle 2147483648",
              "cycle 99999999", "cycle 100000000", "cycle 1.00005 2.00015", "cycle 65504 1", "cycle 3.14159265",
              "cycle 123456.789 0.5", "uniform a 2 -1", "uniform b 200 -100", "uniform c 1e-3 0"]
    for style in styles:
        for shape in ("[]", "[1]", "[4]", "[2, 3]"):
            yield f"f32 {shape} {style}"
        if "1e30" in style or "1e-30" in style:
            continue
        for dtype in ("f64", "bf16", "f16"):
            yield f"{dtype} [3] {style}"


def shapes():
    for shape in ("[17]", "[30]", "[2, 30]", "[3, 1]", "[1, 3]", "[2, 3, 4]", "[2, 1, 2, 3]", "[1, 1, 1, 1, 1]",
                  "[1001]", "[1, 1001]", "[1001, 1]", "[40, 40]", "[3, 4, 100]", "[8, 8, 8, 8]", "[2, 2, 300]",
                  "[500, 2]", "[501, 2]", "[7, 143]", "[6, 167]"):
        yield f"f32 {shape} uniform s 2 -1"
    for dtype in ("f64", "bf16", "i64", "i32", "i16", "i8", "u8", "bool"):
        for shape in ("[]", "[30]", "[3, 20]", "[2, 2, 2]", "[1200]", "[30, 50]"):
            yield f"{dtype} {shape} uniform i 3 0"
        for shape in ("[0]", "[2, 0]", "[0, 3, 2]"):
            yield f"{dtype} {shape} cycle 1"
    yield "f32 [0] cycle 1"
    yield "f32 [3, 0] cycle 1"
    yield "f32 [100] cycle 1 2 3"
    yield "f32 [2, 100] cycle 1 -2.5e5 3"
    yield "f32 [23] cycle 1e-9 1"
    yield "i64 [7] cycle -1 10 -100 1000"
    yield "i64 [3] cycle -9007199254740992 5"
    yield "bool [9] cycle 1 0"
    yield "bool [] cycle 0"
    yield "i16 [30] cycle -32768 7"
    yield "i8 [30] cycle -128 7"
    yield "u8 [300] cycle 255 7"
    yield "f32 [2000] cycle 0 0 0 0 0.5 0 1"
    yield "f32 [2000] cycle 1 1 1 1.5 1 1 1 1"


def steps():
    for step in ("grad", "parameter", "frozen", "meta", "grad mul", "grad add", "grad relu", "grad sum", "grad mean",
                 "grad mm", "grad detach", "grad softmax", "grad log_softmax", "grad linear", "grad reshape",
                 "grad permute", "grad cat", "t", "t parameter", "every2", "list", "dict", "tuple", "parameter list",
                 "grad mul dict", "meta dict", "frozen tuple"):
        yield f"f32 [3, 3] uniform g 2 -1; {step}"
    for step in ("grad mul", "parameter", "grad leaky_relu", "meta", "frozen"):
        for dtype in ("f64", "bf16"):
            yield f"{dtype} [2, 3] uniform g 2 -1; {step}"
    for dtype in ("i64", "i32", "bool"):
        yield f"{dtype} [2, 3] uniform g 3 0; meta"
        yield f"{dtype} [2, 3] uniform g 3 0; frozen"
    for n in range(1, 14):
        yield f"f32 [{n}] uniform w 2 -1; grad"
        yield f"f32 [2, {n}] uniform w 2 -1; grad leaky_relu"
        yield f"f64 [{n}] uniform w 2 -1; grad mul"
    yield "f32 [0] cycle 1; grad mul"
    yield "f64 [2, 0] cycle 1; grad"
    yield "f32 [0] cycle 1; parameter"
    yield "f32 [] cycle 2.5; grad mul"
    yield "f32 [] cycle 3; parameter"
    yield "f32 [40, 40] uniform t 2 -1; t grad mul"
    yield "f32 [2, 3, 4] uniform t 2 -1; t"


def options():
    for precision in (0, 1, 2, 6, 12):
        for style in ("uniform a 2 -1", "cycle 1 2 3", "cycle 1e-9 1", "cycle 0.25 nan inf -inf"):
            yield f"precision={precision} | f32 [2, 3] {style}"
            yield f"precision={precision} | f64 [3] {style}; grad mul"
    for style in ("uniform a 2 -1", "cycle 1 2 3", "cycle 1e-9 1", "cycle 0", "cycle nan 1", "cycle 1e9 0"):
        for mode in ("true", "false"):
            yield f"sci_mode={mode} | f32 [2, 3] {style}"
            yield f"sci_mode={mode} precision=2 | bf16 [4] {style}"
    for edge in (0, 1, 2, 5):
        for shape in ("[]", "[5]", "[12]", "[3, 4]", "[12, 12]", "[2, 7, 3]", "[12, 1, 12]"):
            yield f"threshold=0 edgeitems={edge} | f32 {shape} uniform s 2 -1"
        yield f"threshold=10 edgeitems={edge} | i64 [20] cycle 1 20 300"
        yield f"threshold=10 edgeitems={edge} | bool [4, 9] cycle 1 0 0"
    for width in (0, 10, 40, 79, 81, 200):
        for shape in ("[]", "[13]", "[2, 30]", "[2, 2, 9]"):
            yield f"linewidth={width} | f32 {shape} uniform w 2 -1; grad"
            yield f"linewidth={width} | f64 {shape} cycle 1 2; grad mul"
        yield f"linewidth={width} | i32 [2, 0] cycle 1"
    for profile in ("default", "short", "full"):
        for shape in ("[4]", "[1001]", "[30, 40]"):
            yield f"profile={profile} | f32 {shape} uniform s 2 -1"
        yield f"profile={profile} precision=3 edgeitems=1 | f32 [40, 40] uniform s 2 -1"


def main():
    torch.set_num_threads(1)
    out = []
    for line in [*floats(), *shapes(), *steps(), *options()]:
        out.append(f"> {line}\n{case(line)}\n")
    (FOLDER / "print.txt").write_text("".join(out))
    print(len(out), "cases")


if __name__ == "__main__":
    main()
