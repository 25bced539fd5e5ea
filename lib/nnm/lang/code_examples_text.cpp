// Examples of what is wrong with a text: as a file, as YAML, and as the language's grammar has it.
#include "nnm/lang/code_examples.h"

namespace nnm::lang::detail {

namespace {

constexpr CodeExample kTextExamples[] = {
    {"E0101",
     {"model: Linear(10, 20)\n", "nnm check net.yml"},
     {"model: Linear(10, 20)\n", "nnm check net.yaml"}},
    {"E0102", {"model: Linear(10, 20)  # a bell: \a\n"}, {"model: Linear(10, 20)  # no bell\n"}},
    {"E0103",
     {"model:\n\tLinear: {in_features: 10, out_features: 20}\n"},
     {"model:\n  Linear: {in_features: 10, out_features: 20}\n"}},
    {"E0104", {"model: [Linear(10, 20), ReLU()\n"}, {"model: [Linear(10, 20), ReLU()]\n"}},
    {"E0105",
     {R"(model:
  Sequential:
    fc: Linear(10, 20)
    fc: Linear(20, 5)
)"},
     {R"(model:
  Sequential:
    fc1: Linear(10, 20)
    fc2: Linear(20, 5)
)"}},
    {"E0106", {"model: Linear(10, 20)\n---\nmodel: Linear(10, 30)\n"}, {"model: Linear(10, 20)\n"}},
    {"E0107",
     {"x: "
      "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]"
      "]"
      "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]\nmodel: Linear(10, 20)\n"},
     {"x: [1]\nmodel: Linear(10, 20)\n"}},
    {"E0108",
     {R"(x:
  conv: &conv Conv2d(8, 8, 3)
model:
  - *cnov
  - ReLU()
)"},
     {R"(x:
  conv: &conv Conv2d(8, 8, 3)
model:
  - *conv
  - ReLU()
)"}},
    {"E0109", {"model: !!str Linear(10, 20)\n"}, {"model: Linear(10, 20)\n"}},
    {"E0110",
     {R"(define:
  Net:
    modules:
      fc: Linear(10, 20)
    inputs:
      x: f32[B, 10]
    forward:
      - [a, b] = chunk(fc(x), 2, dim=1)
      - return a * b
model: Net()
)"},
     {R"(define:
  Net:
    modules:
      fc: Linear(10, 20)
    inputs:
      x: f32[B, 10]
    forward:
      - a, b = chunk(fc(x), 2, dim=1)
      - return a * b
model: Net()
)"}},
    {"E0111",
     {"model: [Linear(10, len([1, 2, 3]))]\n"},
     {"model:\n  - Linear(10, len([1, 2, 3]))\n"}},
    {"E0113",
     {R"(define:
  Net:
    inputs:
      x: f32[B, 10]
    forward:
      - return softmax(x, dim: 1)
model: Net()
)"},
     {R"(define:
  Net:
    inputs:
      x: f32[B, 10]
    forward:
      - return softmax(x, dim=1)
model: Net()
)"}},
    {"E0114",
     {R"(x:
  sizes: &sizes 10
vars:
  <<: *sizes
  classes: 5
model: Linear(10, vars.classes)
)"},
     {R"(x:
  sizes: &sizes {features: 10}
vars:
  <<: *sizes
  classes: 5
model: Linear(vars.features, vars.classes)
)"}},
    {"E0115",
     {"extends: base.yaml\nmodel: Linear(10, vars.classes)\n", "nnm check net.yaml",
      "extends: net.yaml\nvars: {classes: 20}\n"},
     {"extends: base.yaml\nmodel: Linear(10, vars.classes)\n", "nnm check net.yaml",
      "vars: {classes: 20}\n"}},
    {"E0201", {"model: Linear(10 20)\n"}, {"model: Linear(10, 20)\n"}},
    {"E0202",
     {"model: \"Conv2d(8, 8, 3, padding_mode='reflect)\"\n"},
     {"model: \"Conv2d(8, 8, 3, padding_mode='reflect')\"\n"}},
    {"E0203", {"model: Linear(10, 2k)\n"}, {"model: Linear(10, 2000)\n"}},
    {"E0204",
     {"model: Linear(in, 20)\n"},
     {"vars: {features: 10}\nmodel: Linear(vars.features, 20)\n"}},
    {"E0205",
     {R"(define:
  Net:
    modules:
      fc: Linear(10, 20)
    inputs:
      x: f32[B, 10]
    forward:
      - fc(x)
      - return x
model: Net()
)"},
     {R"(define:
  Net:
    modules:
      fc: Linear(10, 20)
    inputs:
      x: f32[B, 10]
    forward:
      - x = fc(x)
      - return x
model: Net()
)"}},
    {"E0206",
     {R"(model:
  Sequential:
    for i in range(3):
    act: ReLU()
)"},
     {R"(model:
  Sequential:
    for i in range(3):
      fc${i}: Linear(10, 10)
    act: ReLU()
)"}},
    {"E0207",
     {R"(model:
  Sequential:
    block:
      - Linear(10, 20)
      - ReLU()
)"},
     {R"(model:
  Sequential:
    block:
      Sequential:
        - Linear(10, 20)
        - ReLU()
)"}},
    {"E0208",
     {R"(define:
  Net:
    layers:
      fc: Linear(10, 20)
    inputs: {x: "f32[B, 10]"}
model: Net()
)"},
     {R"(define:
  Net:
    modules:
      fc: Linear(10, 20)
    inputs: {x: "f32[B, 10]"}
model: Net()
)"}},
    {"E0209",
     {R"(define:
  Net:
    args: {features: integer}
    modules:
      fc: Linear(features, 20)
    inputs: {x: "f32[B, 10]"}
model: Net(10)
)"},
     {R"(define:
  Net:
    args: {features: int}
    modules:
      fc: Linear(features, 20)
    inputs: {x: "f32[B, 10]"}
model: Net(10)
)"}},
    {"E0210",
     {R"(define:
  Net:
    modules:
      fc: Linear(10, 20)
    inputs:
      x: float32
    forward:
      - return fc(x)
model: Net()
)"},
     {R"(define:
  Net:
    modules:
      fc: Linear(10, 20)
    inputs:
      x: f32[B, 10]
    forward:
      - return fc(x)
model: Net()
)"}},
    {"E0211", {"model: Linear(10, 20)\nauthor: me\n"}, {"model: Linear(10, 20)\nx-author: me\n"}},
    {"E0212",
     {"vars: {classes: 20}\n"},
     {"vars: {classes: 20}\nmodel: Linear(10, vars.classes)\n"}},
    {"E0213",
     {"model: Linear(10, 20)\ntrain:\n  precision: half\n"},
     {"model: Linear(10, 20)\ntrain:\n  precision: bf16\n"}},
    {"E0214",
     {"vars: {classes: 20}\nmodel: Linear(10, vars.classes)\n",
      "nnm check net.yaml --set vars.classes=many"},
     {"vars: {classes: 20}\nmodel: Linear(10, vars.classes)\n",
      "nnm check net.yaml --set vars.classes=30"}},
    {"E0215", {"nnm: 2\nmodel: Linear(10, 20)\n"}, {"nnm: 1\nmodel: Linear(10, 20)\n"}},
    {"E0216",
     {"model: Linear(10, "
      "((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((("
      "((((((((((((((((((((((((((((((((((((((((((20))))))))))))))))))))))))))))))))))))))))))))))"
      "))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))\n"},
     {"model: Linear(10, 20)\n"}},
    {"E0217",
     {"profiles: {small: {vars.hidden: 8}}\nvars: {hidden: 32}\nmodel: Linear(10, vars.hidden)\n",
      "nnm check net.yaml -p smal"},
     {"profiles: {small: {vars.hidden: 8}}\nvars: {hidden: 32}\nmodel: Linear(10, vars.hidden)\n",
      "nnm check net.yaml -p small"}},
    {"E0218",
     {"import: {my-blocks: base.yaml}\nmodel: Linear(10, 20)\n", "nnm check net.yaml",
      "define:\n  Block:\n    modules: {fc: \"Linear(10, 20)\"}\n"
      "    inputs: {x: \"f32[B, 10]\"}\nmodel: Block()\n"},
     {"import: {blocks: base.yaml}\nmodel: blocks.Block()\n", "nnm check net.yaml",
      "define:\n  Block:\n    modules: {fc: \"Linear(10, 20)\"}\n"
      "    inputs: {x: \"f32[B, 10]\"}\nmodel: Block()\n"}},
};

}  // namespace

std::span<const CodeExample> text_examples() { return kTextExamples; }

}  // namespace nnm::lang::detail
