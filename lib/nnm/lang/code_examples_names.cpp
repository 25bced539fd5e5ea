// Examples of names, arguments, layers and hooks that do not fit.
#include "nnm/lang/code_examples.h"

namespace nnm::lang::detail {

namespace {

constexpr CodeExample kNameExamples[] = {
    {"E0301",
     {"vars: {hidden: 32}\nmodel: Linear(10, vars.hiden)\n"},
     {"vars: {hidden: 32}\nmodel: Linear(10, vars.hidden)\n"}},
    {"E0302", {"model: Liner(10, 20)\n"}, {"model: Linear(10, 20)\n"}},
    {"E0303", {"model: Linear(10, 20, biass=false)\n"}, {"model: Linear(10, 20, bias=false)\n"}},
    {"E0304",
     {"model:\n  - Linear(10, 20)\n  - Dropout(p=1.5)\n"},
     {"model:\n  - Linear(10, 20)\n  - Dropout(p=0.15)\n"}},
    {"E0305",
     {"model:\n  - Linear(10, 20)\n  - ReLU\n"},
     {"model:\n  - Linear(10, 20)\n  - ReLU()\n"}},
    {"E0306",
     {R"(define:
  Net:
    args: {features: int}
    let:
      features: 20
    modules:
      fc: Linear(10, features)
    inputs: {x: "f32[B, 10]"}
model: Net(30)
)"},
     {R"(define:
  Net:
    args: {features: int}
    let:
      doubled: 2 * features
    modules:
      fc: Linear(10, doubled)
    inputs: {x: "f32[B, 10]"}
model: Net(30)
)"}},
    {"E0307",
     {R"(vars:
  width: ${vars.hidden // 2}
  hidden: ${vars.width * 2}
model: Linear(10, vars.hidden)
)"},
     {R"(vars:
  width: 16
  hidden: ${vars.width * 2}
model: Linear(10, vars.hidden)
)"}},
    {"E0331",
     {R"(model:
  Sequential:
    fc: Linear(10, 20)
hooks:
  - {on: forward_pre, at: fc, output: output * 2}
)"},
     {R"(model:
  Sequential:
    fc: Linear(10, 20)
hooks:
  - {on: forward, at: fc, output: output * 2}
)"}},
    {"E0332",
     {R"(model:
  Sequential:
    fc: Linear(10, 20)
hooks:
  - {on: forward, at: fc, output: output * 2, when: {every: 0 steps}}
)"},
     {R"(model:
  Sequential:
    fc: Linear(10, 20)
hooks:
  - {on: forward, at: fc, output: output * 2, when: {every: 5 steps}}
)"}},
    {"E0333",
     {R"(model:
  Sequential:
    fc: Linear(10, 20)
hooks:
  - {on: forward, at: fc, capture: {what: output, reduce: average}}
)"},
     {R"(model:
  Sequential:
    fc: Linear(10, 20)
hooks:
  - {on: forward, at: fc, capture: {what: output, reduce: mean}}
)"}},
    {"E0334",
     {R"(model:
  Sequential:
    fc: Linear(10, 20)
hooks:
  - {on: forward, at: fc1, output: output * 2}
)"},
     {R"(model:
  Sequential:
    fc: Linear(10, 20)
hooks:
  - {on: forward, at: fc, output: output * 2}
)"}},
    {"E0335",
     {R"(model:
  Sequential:
    fc: Linear(10, 20)
    act: ReLU()
hooks:
  - {rule: dead_rellu}
)"},
     {R"(model:
  Sequential:
    fc: Linear(10, 20)
    act: ReLU()
hooks:
  - {rule: dead_relu}
)"}},
};

}  // namespace

std::span<const CodeExample> name_examples() { return kNameExamples; }

}  // namespace nnm::lang::detail
