#!/usr/bin/env python3
"""Prints an ONNX file, read as protobuf without the onnx package: onnx_text.py FILE."""

import struct
import sys

# TensorProto.DataType
TYPES = {1: "f32", 2: "u8", 3: "i8", 5: "i16", 6: "i32", 7: "i64", 9: "bool", 10: "f16",
         11: "f64", 16: "bf16"}


def fields(data):
    """(number, value) of a message: ints, floats or bytes."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value - (1 << 64) if value >> 63 else value

    while at < len(data):
        key = varint()
        if key & 7 == 0:
            yield key >> 3, varint()
        elif key & 7 == 5:
            yield key >> 3, struct.unpack_from("<f", data, at)[0]
            at += 4
        else:
            size = varint()
            yield key >> 3, data[at:at + size]
            at += size


def all_of(message, number):
    return [v for n, v in fields(message) if n == number]


def one(message, number, default=0):
    return (all_of(message, number) or [default])[0]


def attribute(a):
    name, kind = one(a, 1).decode(), one(a, 20)
    value = {1: lambda: f"{one(a, 2):.6g}", 2: lambda: one(a, 3), 3: lambda: one(a, 4).decode(),
             6: lambda: all_of(a, 7), 7: lambda: all_of(a, 8)}[kind]()
    return f"{name}={value}".replace(" ", "")


def value_text(v):
    tensor = one(one(v, 2), 1)
    shape = ", ".join(one(d, 2, b"").decode() or str(one(d, 1)) for d in all_of(one(tensor, 2, b""), 1))
    return f"{one(v, 1).decode()} {TYPES[one(tensor, 1)]}[{shape}]"


def main():
    with open(sys.argv[1], "rb") as f:
        model = f.read()
    graph = one(model, 7)
    opset = one(model, 8)
    print(f"IR {one(model, 1)}, opset {one(opset, 2)}, graph {one(graph, 2).decode()}")
    for v in all_of(graph, 11):
        print("input", value_text(v))
    for t in all_of(graph, 5):
        print("tensor", one(t, 8).decode(), f"{TYPES[one(t, 2)]}{all_of(t, 1)}",
              f"{len(one(t, 9, b''))} bytes")
    for n in all_of(graph, 1):
        names = [", ".join(x.decode() for x in all_of(n, k)) for k in (2, 1)]
        text = " ".join(attribute(a) for a in all_of(n, 5))
        print(f"{names[0]} = {one(n, 4).decode()}({names[1]}){' ' if text else ''}{text}")
    for v in all_of(graph, 12):
        print("output", value_text(v))


if __name__ == "__main__":
    main()
