// Views and joining through the function table, against PyTorch.
#include "ops/torch_row.h"
#include "ops/wave.h"

using namespace nnm;
using namespace nnm::torch_row;

TEST_SUITE_BEGIN("ops");

namespace {

// Function, arguments, keywords; grad_fn; type, shape and values of every output in PyTorch.
const Row kViewRows[] = {
    {"reshape",
     {M, 2, 6},
     {},
     "ViewBackward0",
     {{"f32",
       {2, 6},
       {-1.375, -0.5, 0.375, 1.25, -0.75, 0.125, 1, -1, -0.125, 0.75, -1.25, -0.375}}}},
    {"reshape",
     {M, L({Value(6), Value(-1)})},
     {},
     "ViewBackward0",
     {{"f32",
       {6, 2},
       {-1.375, -0.5, 0.375, 1.25, -0.75, 0.125, 1, -1, -0.125, 0.75, -1.25, -0.375}}}},
    {"view",
     {M, -1, 3},
     {},
     "ViewBackward0",
     {{"f32",
       {4, 3},
       {-1.375, -0.5, 0.375, 1.25, -0.75, 0.125, 1, -1, -0.125, 0.75, -1.25, -0.375}}}},
    {"flatten",
     {X, 1},
     {},
     "ViewBackward0",
     {{"f32", {2, 12}, {-1.375, -0.5,   0.375, 1.25,   -0.75,  0.125, 1,      -1,
                        -0.125, 0.75,   -1.25, -0.375, 0.5,    1.375, -0.625, 0.25,
                        1.125,  -0.875, 0,     0.875,  -1.125, -0.25, 0.625,  -1.375}}}},
    {"ravel",
     {M},
     {},
     "ViewBackward0",
     {{"f32",
       {12},
       {-1.375, -0.5, 0.375, 1.25, -0.75, 0.125, 1, -1, -0.125, 0.75, -1.25, -0.375}}}},
    {"unflatten",
     {M, 1, L({Value(2), Value(-1)})},
     {},
     "ViewBackward0",
     {{"f32",
       {3, 2, 2},
       {-1.375, -0.5, 0.375, 1.25, -0.75, 0.125, 1, -1, -0.125, 0.75, -1.25, -0.375}}}},
    {"squeeze",
     {M},
     {},
     "SqueezeBackward0",
     {{"f32",
       {3, 4},
       {-1.375, -0.5, 0.375, 1.25, -0.75, 0.125, 1, -1, -0.125, 0.75, -1.25, -0.375}}}},
    {"unsqueeze",
     {M, 1},
     {},
     "UnsqueezeBackward0",
     {{"f32",
       {3, 1, 4},
       {-1.375, -0.5, 0.375, 1.25, -0.75, 0.125, 1, -1, -0.125, 0.75, -1.25, -0.375}}}},
    {"permute",
     {X, 2, 0, 1},
     {},
     "PermuteBackward0",
     {{"f32", {4, 2, 3}, {-1.375, -0.75, -0.125, 0.5,   1.125,  -1.125, -0.5,  0.125,
                          0.75,   1.375, -0.875, -0.25, 0.375,  1,      -1.25, -0.625,
                          0,      0.625, 1.25,   -1,    -0.375, 0.25,   0.875, -1.375}}}},
    {"permute",
     {X, L({Value(1), Value(0), Value(2)})},
     {},
     "PermuteBackward0",
     {{"f32", {3, 2, 4}, {-1.375, -0.5,  0.375, 1.25,   0.5,    1.375,  -0.625, 0.25,
                          -0.75,  0.125, 1,     -1,     1.125,  -0.875, 0,      0.875,
                          -0.125, 0.75,  -1.25, -0.375, -1.125, -0.25,  0.625,  -1.375}}}},
    {"transpose",
     {M, 0, 1},
     {},
     "TransposeBackward0",
     {{"f32",
       {4, 3},
       {-1.375, -0.75, -0.125, -0.5, 0.125, 0.75, 0.375, 1, -1.25, 1.25, -1, -0.375}}}},
    {"swapaxes",
     {X, 0, -1},
     {},
     "TransposeBackward0",
     {{"f32", {4, 3, 2}, {-1.375, 0.5,    -0.75, 1.125, -0.125, -1.125, -0.5,   1.375,
                          0.125,  -0.875, 0.75,  -0.25, 0.375,  -0.625, 1,      0,
                          -1.25,  0.625,  1.25,  0.25,  -1,     0.875,  -0.375, -1.375}}}},
    {"t",
     {M},
     {},
     "TBackward0",
     {{"f32",
       {4, 3},
       {-1.375, -0.75, -0.125, -0.5, 0.125, 0.75, 0.375, 1, -1.25, 1.25, -1, -0.375}}}},
    {"movedim",
     {X, 0, 2},
     {},
     "PermuteBackward0",
     {{"f32", {3, 4, 2}, {-1.375, 0.5,    -0.5,  1.375,  0.375, -0.625, 1.25,   0.25,
                          -0.75,  1.125,  0.125, -0.875, 1,     0,      -1,     0.875,
                          -0.125, -1.125, 0.75,  -0.25,  -1.25, 0.625,  -0.375, -1.375}}}},
    {"movedim",
     {X, L({Value(0), Value(1)}), L({Value(1), Value(2)})},
     {},
     "PermuteBackward0",
     {{"f32", {4, 2, 3}, {-1.375, -0.75, -0.125, 0.5,   1.125,  -1.125, -0.5,  0.125,
                          0.75,   1.375, -0.875, -0.25, 0.375,  1,      -1.25, -0.625,
                          0,      0.625, 1.25,   -1,    -0.375, 0.25,   0.875, -1.375}}}},
    {"expand",
     {V, 2, -1},
     {},
     "ExpandBackward0",
     {{"f32", {2, 4}, {-1.5, 1, 0, -1, -1.5, 1, 0, -1}}}},
    {"broadcast_to",
     {V, L({Value(2), Value(4)})},
     {},
     "ExpandBackward0",
     {{"f32", {2, 4}, {-1.5, 1, 0, -1, -1.5, 1, 0, -1}}}},
    {"narrow",
     {M, 1, 1, 2},
     {},
     "SliceBackward0",
     {{"f32", {3, 2}, {-0.5, 0.375, 0.125, 1, 0.75, -1.25}}}},
    {"select", {M, 0, -1}, {}, "SelectBackward0", {{"f32", {4}, {-0.125, 0.75, -1.25, -0.375}}}},
    {"diagonal", {S}, {}, "DiagonalBackward0", {{"f32", {3}, {-1.375, -0.75, -0.125}}}},
    {"diagonal", {M, 1}, {}, "DiagonalBackward0", {{"f32", {3}, {-0.5, 1, -0.375}}}},
    {"diagonal",
     {X, -1, 1, 2},
     {},
     "DiagonalBackward0",
     {{"f32", {2, 2}, {-0.75, 0.75, 1.125, -0.25}}}},
    {"split",
     {M, 2},
     {},
     "SplitBackward0",
     {{"f32", {2, 4}, {-1.375, -0.5, 0.375, 1.25, -0.75, 0.125, 1, -1}},
      {"f32", {1, 4}, {-0.125, 0.75, -1.25, -0.375}}}},
    {"split",
     {M, 3, 1},
     {},
     "SplitBackward0",
     {{"f32", {3, 3}, {-1.375, -0.5, 0.375, -0.75, 0.125, 1, -0.125, 0.75, -1.25}},
      {"f32", {3, 1}, {1.25, -1, -0.375}}}},
    {"split",
     {M, L({Value(1), Value(3)})},
     {{"dim", 1}},
     "SplitWithSizesBackward0",
     {{"f32", {3, 1}, {-1.375, -0.75, -0.125}},
      {"f32", {3, 3}, {-0.5, 0.375, 1.25, 0.125, 1, -1, 0.75, -1.25, -0.375}}}},
    {"chunk",
     {M, 2, 1},
     {},
     "SplitBackward0",
     {{"f32", {3, 2}, {-1.375, -0.5, -0.75, 0.125, -0.125, 0.75}},
      {"f32", {3, 2}, {0.375, 1.25, 1, -1, -1.25, -0.375}}}},
    {"unbind",
     {S, 1},
     {},
     "UnbindBackward0",
     {{"f32", {3}, {-1.375, 1.25, 1}},
      {"f32", {3}, {-0.5, -0.75, -1}},
      {"f32", {3}, {0.375, 0.125, -0.125}}}},
    {"cat",
     {L({Value(M), Value(P)})},
     {},
     "CatBackward0",
     {{"f32", {6, 4}, {-1.375, -0.5,   0.375, 1.25,   -0.75,  0.125, 1,      -1,
                       -0.125, 0.75,   -1.25, -0.375, 0.0625, 0.5,   0.9375, 1.375,
                       0.375,  0.8125, 1.25,  0.25,   0.6875, 1.125, 0.125,  0.5625}}}},
    {"cat",
     {L({Value(M), Value(P)})},
     {{"dim", 1}},
     "CatBackward0",
     {{"f32", {3, 8}, {-1.375, -0.5,  0.375, 1.25,   0.0625, 0.5,    0.9375, 1.375,
                       -0.75,  0.125, 1,     -1,     0.375,  0.8125, 1.25,   0.25,
                       -0.125, 0.75,  -1.25, -0.375, 0.6875, 1.125,  0.125,  0.5625}}}},
    {"stack",
     {L({Value(V), Value(V)})},
     {{"dim", 1}},
     "StackBackward0",
     {{"f32", {4, 2}, {-1.5, -1.5, 1, 1, 0, 0, -1, -1}}}},
    {"hstack",
     {L({Value(V), Value(V)})},
     {},
     "CatBackward0",
     {{"f32", {8}, {-1.5, 1, 0, -1, -1.5, 1, 0, -1}}}},
    {"vstack",
     {L({Value(V), Value(V)})},
     {},
     "CatBackward0",
     {{"f32", {2, 4}, {-1.5, 1, 0, -1, -1.5, 1, 0, -1}}}},
    {"repeat",
     {V, 2, 2},
     {},
     "RepeatBackward0",
     {{"f32", {2, 8}, {-1.5, 1, 0, -1, -1.5, 1, 0, -1, -1.5, 1, 0, -1, -1.5, 1, 0, -1}}}},
    {"repeat",
     {S, 1, 2},
     {},
     "RepeatBackward0",
     {{"f32",
       {3, 6},
       {-1.375, -0.5, 0.375, -1.375, -0.5, 0.375, 1.25, -0.75, 0.125, 1.25, -0.75, 0.125, 1, -1,
        -0.125, 1, -1, -0.125}}}},
    {"tile",
     {S, 2},
     {},
     "RepeatBackward0",
     {{"f32",
       {3, 6},
       {-1.375, -0.5, 0.375, -1.375, -0.5, 0.375, 1.25, -0.75, 0.125, 1.25, -0.75, 0.125, 1, -1,
        -0.125, 1, -1, -0.125}}}},
    {"repeat_interleave",
     {V, 2},
     {},
     "ViewBackward0",
     {{"f32", {8}, {-1.5, -1.5, 1, 1, 0, 0, -1, -1}}}},
    {"repeat_interleave",
     {S, 2, 0},
     {},
     "ViewBackward0",
     {{"f32",
       {6, 3},
       {-1.375, -0.5, 0.375, -1.375, -0.5, 0.375, 1.25, -0.75, 0.125, 1.25, -0.75, 0.125, 1, -1,
        -0.125, 1, -1, -0.125}}}},
    {"repeat_interleave",
     {S, 2, 1},
     {},
     "ViewBackward0",
     {{"f32",
       {3, 6},
       {-1.375, -1.375, -0.5, -0.5, 0.375, 0.375, 1.25, 1.25, -0.75, -0.75, 0.125, 0.125, 1, 1, -1,
        -1, -0.125, -0.125}}}},
    {"roll",
     {M, 1},
     {},
     "RollBackward0",
     {{"f32",
       {3, 4},
       {-0.375, -1.375, -0.5, 0.375, 1.25, -0.75, 0.125, 1, -1, -0.125, 0.75, -1.25}}}},
    {"roll",
     {M, -1, 1},
     {},
     "RollBackward0",
     {{"f32",
       {3, 4},
       {-0.5, 0.375, 1.25, -1.375, 0.125, 1, -1, -0.75, 0.75, -1.25, -0.375, -0.125}}}},
    {"roll",
     {M, L({Value(1), Value(2)}), L({Value(0), Value(1)})},
     {},
     "RollBackward0",
     {{"f32",
       {3, 4},
       {-1.25, -0.375, -0.125, 0.75, 0.375, 1.25, -1.375, -0.5, 1, -1, -0.75, 0.125}}}},
    {"flip",
     {M, 0},
     {},
     "FlipBackward0",
     {{"f32",
       {3, 4},
       {-0.125, 0.75, -1.25, -0.375, -0.75, 0.125, 1, -1, -1.375, -0.5, 0.375, 1.25}}}},
    {"flip",
     {M, L({Value(0), Value(1)})},
     {},
     "FlipBackward0",
     {{"f32",
       {3, 4},
       {-0.375, -1.25, 0.75, -0.125, -1, 1, 0.125, -0.75, 1.25, 0.375, -0.5, -1.375}}}},
};

}  // namespace

TEST_CASE("views and joining: values, shapes, types and nodes are PyTorch's") {
  for (const Row& r : kViewRows) {
    CAPTURE(r.function);
    check_outputs(r, run(r.function, r.pos, r.kw));
    check_node(r);
  }
}

TEST_CASE("views and joining: operands may lie in memory as they like") {
  for (const Row& r : kViewRows) {
    CAPTURE(r.function);
    if (r.function == "view") continue;
    check_outputs(r, run(r.function, mapped(r.pos, scattered), r.kw));
  }
}

TEST_CASE("views and joining: the meta device gives the same shapes and types") {
  for (const Row& r : kViewRows) {
    CAPTURE(r.function);
    check_meta(r);
  }
}

TEST_CASE("views and joining: gradients agree with differences") {
  for (const Row& r : kViewRows) {
    CAPTURE(r.function);
    check_gradients(r, false);
    if (r.function != "view") check_gradients(r, true);
  }
}

TEST_CASE("views and joining: the gradient of parts lies as what they are parts of") {
  const Tensor x = wave_leaf({2, 3, 4}), y = permute(x, {1, 2, 0});
  y.retain_grad();
  const Tensors parts = unbind(y, 0), pieces = split(y, 3, 1);
  sum(mul(parts[1], wave({4, 2}, 1))).backward({}, true);
  CHECK(y.grad().strides() == y.strides());
  CHECK(differs(select(y.grad(), 0, 1), wave({4, 2}, 1)) == "");
  for (const int64_t unused : {0, 2})
    CHECK(differs(select(y.grad(), 0, unused), zeros({4, 2}, {DType::f64})) == "");
  CHECK(differs(x.grad(), permute(y.grad(), {2, 0, 1})) == "");
  const Tensor before = clone(x.grad());
  sum(pieces[1]).backward();
  Tensor expected = zeros({2, 3, 4}, {DType::f64});
  fill_(select(expected, 2, 3), 1);
  CHECK(differs(sub(x.grad(), before), expected) == "");
}

TEST_SUITE_END();
