// Examples of values and shapes of models that cannot be.
#include "nnm/lang/code_examples.h"

namespace nnm::lang::detail {

namespace {

constexpr CodeExample kValueExamples[] = {
    {"E0401", {"model: Linear(10, 20 // 0)\n"}, {"model: Linear(10, 20 // 2)\n"}},
    {"E0402",
     {R"(define:
  Heads:
    args: {d: int, n_head: int}
    require:
      - d % n_head == 0, "d=${d} must be divisible by n_head=${n_head}"
    modules:
      attn: MultiheadAttention(d, n_head)
    inputs: {x: "f32[B, 64]"}
model: Heads(64, 6)
)"},
     {R"(define:
  Heads:
    args: {d: int, n_head: int}
    require:
      - d % n_head == 0, "d=${d} must be divisible by n_head=${n_head}"
    modules:
      proj: Linear(d, n_head)
    inputs: {x: "f32[B, 64]"}
model: Heads(64, 8)
)"}},
    {"E0403",
     {"model:\n  Sequential:\n    - add_module: [\"block.fc\", Linear(10, 20)]\n"},
     {"model:\n  Sequential:\n    - add_module: [\"block_fc\", Linear(10, 20)]\n"}},
    {"E0404",
     {R"(model:
  Sequential:
    fc: Linear(10, 10)
    for i in range(500_000):
      act${i}: ReLU()
)"},
     {R"(model:
  Sequential:
    fc: Linear(10, 10)
    for i in range(5):
      act${i}: ReLU()
)"}},
    {"E0405",
     {R"(define:
  Net:
    modules:
      fc: Linear(10, 20)
    init:
      fc1.weight: zeros
    inputs: {x: "f32[B, 10]"}
model: Net()
)"},
     {R"(define:
  Net:
    modules:
      fc: Linear(10, 20)
    init:
      fc.weight: zeros
    inputs: {x: "f32[B, 10]"}
model: Net()
)"}},
    {"E0406",
     {R"(define:
  Net:
    modules:
      embed: Embedding(100, 16)
      head: Linear(32, 100, bias=false)
    tie:
      - head.weight = embed.weight
    inputs:
      ids: i64[B, T]
    forward:
      - return head(embed(ids))
model: Net()
)"},
     {R"(define:
  Net:
    modules:
      embed: Embedding(100, 16)
      head: Linear(16, 100, bias=false)
    tie:
      - head.weight = embed.weight
    inputs:
      ids: i64[B, T]
    forward:
      - return head(embed(ids))
model: Net()
)"}},
    {"E0407",
     {R"(define:
  Scale:
    params:
      scale: {shape: [-10]}
    inputs:
      x: f32[B, 10]
    forward:
      - return x * self.scale
model: Scale()
)"},
     {R"(define:
  Scale:
    params:
      scale: {shape: [10]}
    inputs:
      x: f32[B, 10]
    forward:
      - return x * self.scale
model: Scale()
)"}},
    {"E0408",
     {R"(define:
  Block:
    modules:
      inner: Block()
    inputs: {x: "f32[B, 10]"}
model: Block()
)"},
     {R"(define:
  Block:
    modules:
      inner: Linear(10, 10)
    inputs: {x: "f32[B, 10]"}
model: Block()
)"}},
    {"E0501",
     {R"(model:
  Sequential:
    - Linear(10, 20)
    - Linear(30, 5)
)"},
     {R"(model:
  Sequential:
    - Linear(10, 20)
    - Linear(20, 5)
)"}},
    {"E0502",
     {R"(define:
  Net:
    modules:
      fc: Linear(10, 20)
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
    {"E0503",
     {R"(define:
  Net:
    modules:
      fc: Linear(10, 20)
    inputs:
      x: f32[B, 10]
    forward:
      - return fc(3)
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
    {"E0504",
     {R"(define:
  Twice:
    inputs:
      x: f32[B, 10]
    forward:
      - return x * 2
  Net:
    modules:
      twice: Twice()
    inputs:
      x: f32[B, 10]
    forward:
      - return twice(x, x)
model: Net()
)"},
     {R"(define:
  Twice:
    inputs:
      x: f32[B, 10]
    forward:
      - return x * 2
  Net:
    modules:
      twice: Twice()
    inputs:
      x: f32[B, 10]
    forward:
      - return twice(x)
model: Net()
)"}},
    {"E0505",
     {R"(define:
  Net:
    modules:
      fc: Linear(10, 20)
    inputs:
      x: f32[B, 10]
    forward:
      - y = fc(x)
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
    {"W0201",
     {R"(define:
  Linear:
    modules:
      conv: Conv1d(10, 20, 1)
    inputs: {x: "f32[B, 10, 4]"}
model: Linear()
)"},
     {R"(define:
  Pointwise:
    modules:
      conv: Conv1d(10, 20, 1)
    inputs: {x: "f32[B, 10, 4]"}
model: Pointwise()
)"}},
};

}  // namespace

std::span<const CodeExample> value_examples() { return kValueExamples; }

}  // namespace nnm::lang::detail
