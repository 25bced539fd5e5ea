#!/usr/bin/env python3
"""The JSON Schema of configs, as a validator and an editor take it: good configs are valid, and a
fault is found at its own place rather than at a mapping around it."""

import json
import pathlib
import re
import sys
import tempfile
import unittest

import program

try:
    import jsonschema
    import yaml
except ImportError:
    print("schema_test.py: skipped: needs python3-jsonschema and python3-yaml")
    sys.exit(0)


class Loader(yaml.SafeLoader):
    """YAML 1.2's core schema, as nnm and the editors read it: `on` and `no` are texts."""


Loader.yaml_implicit_resolvers = {}
for tag, pattern, first in (
        ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
        ("merge", "<<", "<"),
        ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
        ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
        ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+0123456789.")):
    Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(f"^(?:{pattern})$"),
                                 list(first))
# In braces YAML cuts a call at its commas: `{acc: accuracy(out, y)}` has a key `y)` without value.


def read(text):
    return yaml.load(text, Loader)


def validator():
    with tempfile.TemporaryDirectory() as where:
        schema = json.loads(program.nnm("schema", cwd=where).stdout)
    jsonschema.Draft7Validator.check_schema(schema)
    return schema, jsonschema.Draft7Validator(schema)


SCHEMA, VALIDATOR = validator()


def faults(text):
    """Where the schema finds what: the innermost places, as `a.b.0`."""
    out = set()

    def walk(error):
        for inner in error.context or ():
            walk(inner)
        if not error.context:
            out.add((".".join(map(str, error.absolute_path)), error.validator))

    for error in VALIDATOR.iter_errors(read(text)):
        walk(error)
    return out


def net(body):
    return "nnm: 1\ndefine:\n  Net:\n" + body + "model: Net()\n"


# A config, the place of its fault, and the keyword that finds it.
BAD = [
    ("nnm: 1\nmodel: Linear(2, 3)\nmodle: 3\n", "", "additionalProperties"),
    ("nnm: 1\n", "", "required"),
    ("nnm: 2\nmodel: Linear(2, 3)\n", "nnm", "const"),
    ("nnm: 1\nmodel: 3\n", "model", "type"),
    ("nnm: 1\nmodel: {Linear: {in_features: 2}}\n", "model.Linear", "required"),
    ("nnm: 1\nmodel: {Linear: {in_features: 2, out_features: 3, biass: false}}\n",
     "model.Linear", "additionalProperties"),
    ("nnm: 1\nmodel: {Linear: {in_features: 2, out_features: [3]}}\n",
     "model.Linear.out_features", "type"),
    ("nnm: 1\nmodel: {Dropout: {p: 1.5}}\n", "model.Dropout.p", "maximum"),
    ("nnm: 1\nmodel:\n  - Conv2d: {in_channels: 1, out_channels: 2, kernel_size: 3, "
     "padding_mode: mirror}\n", "model.0.Conv2d.padding_mode", "enum"),
    ("nnm: 1\nmodel:\n  - Conv2d: {in_channels: 1, out_channels: 2, kernel_size: [3, 3, 3]}\n",
     "model.0.Conv2d.kernel_size", "maxItems"),
    ("nnm: 1\nmodel:\n  Sequential:\n    fc: 3\n", "model.Sequential.fc", "type"),
    ("nnm: 1\nmodel:\n  Sequential:\n    for i in range(3):\n      fc${i}: "
     "{Linear: {in_features: 4, out_features: true}}\n", "model.Sequential.for i in range(3).fc${i}.Linear.out_features", "type"),
    ("nnm: 1\nmodel: Linear(2, 3)\ntrain: {epochs: 3}\n", "train", "additionalProperties"),
    ("nnm: 1\nmodel: Linear(2, 3)\ntrain: {precision: half}\n", "train.precision", "enum"),
    ("nnm: 1\nmodel: Linear(2, 3)\ntrain: {optimizer: Adamm(lr=1)}\n", "train.optimizer", "pattern"),
    ("nnm: 1\nmodel: Linear(2, 3)\nhooks:\n  - {on: forwards, at: fc, output: output}\n",
     "hooks.0.on", "enum"),
    ("nnm: 1\nmodel: Linear(2, 3)\ntrain: {checkpoint: {keep: 0}}\n",
     "train.checkpoint.keep", "minimum"),
    ("nnm: 1\nmodel: Linear(2, 3)\ndata: {train: {text: a.txt, tokenizer: word}}\n",
     "data.train.tokenizer", "pattern"),
    ("nnm: 1\nmodel: Linear(2, 3)\nhooks:\n  - {on: forward, at: fc, capture: {what: [outputs]}}\n",
     "hooks.0.capture.what.0", "pattern"),
    ("nnm: 1\nmodel: Linear(2, 3)\nhooks:\n"
     "  - {on: forward, at: fc, capture: {what: \"output, weigth\"}}\n",
     "hooks.0.capture.what", "pattern"),
    ("nnm: 1\nmodel: Linear(2, 3)\nvars: {a-b: 3}\n", "vars", "pattern"),
    (net("    layers:\n      fc: Linear(2, 3)\n"), "define.Net", "additionalProperties"),
    (net("    args: {d: integer}\n    modules:\n      fc: Linear(d, 3)\n"),
     "define.Net.args.d", "pattern"),
    (net("    inputs: {x: float32}\n    modules:\n      fc: Linear(2, 3)\n"),
     "define.Net.inputs.x", "pattern"),
    (net("    inputs: {x: 3}\n    modules:\n      fc: Linear(2, 3)\n"),
     "define.Net.inputs.x", "type"),
    (net("    modules:\n      fc: Linear(2, 3)\n    init:\n      fc.weight: normall(std=1)\n"),
     "define.Net.init.fc.weight", "pattern"),
    (net("    modules:\n      fc: Linear(2, 3)\n    forward:\n      - x: fc(x)\n"),
     "define.Net.forward.0", "additionalProperties"),
    (net("    buffers:\n      count: {value: 0, persist: false}\n"),
     "define.Net.buffers.count", "additionalProperties"),
]


class Schema(unittest.TestCase):
    def test_good_configs_are_valid(self):
        paths = [p for folder in ("configs", "tests/lang/examples")
                 for p in sorted((program.ROOT / folder).rglob("*.yaml"))]
        paths.append(program.ROOT / "tests/cli/tiny.yaml")
        self.assertGreater(len(paths), 15)
        for path in paths:
            with self.subTest(path=str(path)):
                self.assertEqual(faults(path.read_text()), set())

    def test_corrected_examples_of_errors_are_valid(self):
        for e in json.loads(program.nnm("explain", "--format", "json", cwd="/").stdout):
            with self.subTest(code=e["code"]):
                self.assertEqual(faults(e["right"]["config"]), set())

    def test_a_fault_is_found_at_its_place_alone(self):
        for text, place, keyword in BAD:
            with self.subTest(text=text):
                self.assertEqual(faults(text), {(place, keyword)})

    def test_what_the_schema_refuses_check_refuses(self):
        with tempfile.TemporaryDirectory() as where:
            for text, _, _ in BAD:
                pathlib.Path(where, "c.yaml").write_text(text)
                with self.subTest(text=text):
                    self.assertEqual(program.nnm("check", "c.yaml", cwd=where).returncode, 2)

    def test_every_key_and_every_argument_says_what_it_is(self):
        def described(where, schema):
            for name, value in schema.get("properties", {}).items():
                told = value.get("description")
                if not told and "$ref" in value:
                    told = SCHEMA["definitions"][value["$ref"].rsplit("/", 1)[1]].get("description")
                self.assertTrue(told, f"{where}.{name}")
                described(f"{where}.{name}", value)

        described("config", SCHEMA)
        described("class", SCHEMA["definitions"]["class"])
        described("tensor", SCHEMA["definitions"]["tensor"])
        layers = {n: d for n, d in SCHEMA["definitions"].items() if n.startswith("args.")}
        self.assertGreater(len(layers), 70)
        for name, layer in layers.items():
            self.assertTrue(layer.get("description"), name)
            described(name, layer)

    def test_alternatives_are_chosen_by_type(self):
        def keys(value):
            if isinstance(value, dict):
                yield from value
                for v in value.values():
                    yield from keys(v)
            elif isinstance(value, list):
                for v in value:
                    yield from keys(v)

        self.assertNotIn("oneOf", set(keys(SCHEMA)))
        self.assertNotIn("anyOf", set(keys(SCHEMA)))


if __name__ == "__main__":
    unittest.main()
