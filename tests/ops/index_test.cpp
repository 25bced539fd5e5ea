// Indexing, creation and casts through the function table, against PyTorch.
#include "ops/torch_row.h"

using namespace nnm;
using namespace nnm::torch_row;

TEST_SUITE_BEGIN("ops");

namespace {

// Function, arguments, keywords; grad_fn; type, shape and values of every output in PyTorch.
const Row kIndexRows[] = {
    {"index_select",
     {M, 0, J},
     {},
     "IndexSelectBackward0",
     {{"f32",
       {3, 4},
       {-0.125, 0.75, -1.25, -0.375, -1.375, -0.5, 0.375, 1.25, -0.75, 0.125, 1, -1}}}},
    {"index_select",
     {S, 1, J},
     {},
     "IndexSelectBackward0",
     {{"f32", {3, 3}, {0.375, -1.375, -0.5, 0.125, 1.25, -0.75, -0.125, 1, -1}}}},
    {"gather",
     {M, 0, J2},
     {},
     "GatherBackward0",
     {{"f32", {2, 4}, {-1.375, 0.125, -1.25, 1.25, -0.125, 0.75, 0.375, -1}}}},
    {"take_along_dim",
     {M, J2, 0},
     {},
     "GatherBackward0",
     {{"f32", {2, 4}, {-1.375, 0.125, -1.25, 1.25, -0.125, 0.75, 0.375, -1}}}},
    {"scatter_add",
     {M, 0, J2, M},
     {},
     "ScatterAddBackward0",
     {{"f32",
       {3, 4},
       {-2.75, -0.5, 1.375, 2.5, -0.75, -0.375, 1, -2, -0.875, 0.875, -0.875, -0.375}}}},
    {"masked_select",
     {M, B},
     {},
     "MaskedSelectBackward0",
     {{"f32", {6}, {-1.375, 0.375, 0.125, 1, -0.125, 0.75}}}},
    {"tril",
     {S},
     {},
     "TrilBackward0",
     {{"f32", {3, 3}, {-1.375, 0, 0, 1.25, -0.75, 0, 1, -1, -0.125}}}},
    {"triu",
     {M, 1},
     {},
     "TriuBackward0",
     {{"f32", {3, 4}, {0, -0.5, 0.375, 1.25, 0, 0, 1, -1, 0, 0, 0, -0.375}}}},
    {"tril",
     {M, -1},
     {},
     "TrilBackward0",
     {{"f32", {3, 4}, {0, 0, 0, 0, -0.75, 0, 0, 0, -0.125, 0.75, 0, 0}}}},
    {"pad",
     {V, L({Value(1), Value(2)})},
     {},
     "ConstantPadNdBackward0",
     {{"f32", {7}, {0, -1.5, 1, 0, -1, 0, 0}}}},
    {"pad",
     {S, L({Value(1), Value(0), Value(0), Value(1)})},
     {{"value", 5.0}},
     "ConstantPadNdBackward0",
     {{"f32",
       {4, 4},
       {5, -1.375, -0.5, 0.375, 5, 1.25, -0.75, 0.125, 5, 1, -1, -0.125, 5, 5, 5, 5}}}},
    {"pad",
     {M, L({Value(-1), Value(1)})},
     {},
     "ConstantPadNdBackward0",
     {{"f32", {3, 4}, {-0.5, 0.375, 1.25, 0, 0.125, 1, -1, 0, 0.75, -1.25, -0.375, 0}}}},
    {"pad",
     {M, L({Value(2), Value(1)})},
     {{"mode", "reflect"}},
     "ReflectionPad1DBackward0",
     {{"f32", {3, 7}, {0.375, -0.5,  -1.375, -0.5,  0.375, 1.25,   0.375,
                       1,     0.125, -0.75,  0.125, 1,     -1,     1,
                       -1.25, 0.75,  -0.125, 0.75,  -1.25, -0.375, -1.25}}}},
    {"pad",
     {M, L({Value(2), Value(1)})},
     {{"mode", "replicate"}},
     "ReplicationPad1DBackward0",
     {{"f32", {3, 7}, {-1.375, -1.375, -1.375, -0.5,  0.375, 1.25,   1.25,
                       -0.75,  -0.75,  -0.75,  0.125, 1,     -1,     -1,
                       -0.125, -0.125, -0.125, 0.75,  -1.25, -0.375, -0.375}}}},
    {"pad",
     {M, L({Value(2), Value(1)})},
     {{"mode", "circular"}},
     "torch::autograd::CopySlices",
     {{"f32", {3, 7}, {0.375, 1.25,   -1.375, -0.5,  0.375, 1.25,   -1.375,
                       1,     -1,     -0.75,  0.125, 1,     -1,     -0.75,
                       -1.25, -0.375, -0.125, 0.75,  -1.25, -0.375, -0.125}}}},
    {"topk", {V, 2}, {}, "TopkBackward0", {{"f32", {2}, {1, 0}}, {"i64", {2}, {1, 2}}}},
    {"topk",
     {M, 2, 0},
     {},
     "TopkBackward0",
     {{"f32", {2, 4}, {-0.125, 0.75, 1, 1.25, -0.75, 0.125, 0.375, -0.375}},
      {"i64", {2, 4}, {2, 2, 1, 0, 1, 1, 0, 2}}}},
    {"topk",
     {V, 2},
     {{"largest", false}},
     "TopkBackward0",
     {{"f32", {2}, {-1.5, -1}}, {"i64", {2}, {0, 3}}}},
    {"sort",
     {M},
     {},
     "SortBackward0",
     {{"f32",
       {3, 4},
       {-1.375, -0.5, 0.375, 1.25, -1, -0.75, 0.125, 1, -1.25, -0.375, -0.125, 0.75}},
      {"i64", {3, 4}, {0, 1, 2, 3, 3, 0, 1, 2, 2, 3, 0, 1}}}},
    {"sort",
     {M, 0},
     {{"descending", true}},
     "SortBackward0",
     {{"f32",
       {3, 4},
       {-0.125, 0.75, 1, 1.25, -0.75, 0.125, 0.375, -0.375, -1.375, -0.5, -1.25, -1}},
      {"i64", {3, 4}, {2, 2, 1, 0, 1, 1, 0, 2, 0, 0, 2, 1}}}},
    {"argsort", {V}, {}, "", {{"i64", {4}, {0, 3, 2, 1}}}},
    {"arange", {4}, {}, "", {{"i64", {4}, {0, 1, 2, 3}}}},
    {"arange", {1, 6, 2}, {}, "", {{"i64", {3}, {1, 3, 5}}}},
    {"arange", {0.0, 1.0, 0.25}, {}, "", {{"f32", {4}, {0, 0.25, 0.5, 0.75}}}},
    {"arange", {5, 0, -2}, {}, "", {{"i64", {3}, {5, 3, 1}}}},
    {"linspace", {0.0, 1.0, 5}, {}, "", {{"f32", {5}, {0, 0.25, 0.5, 0.75, 1}}}},
    {"linspace", {-1.0, 1.0, 4}, {}, "", {{"f32", {4}, {-1, -0.33333331, 0.33333331, 1}}}},
    {"eye", {3}, {}, "", {{"f32", {3, 3}, {1, 0, 0, 0, 1, 0, 0, 0, 1}}}},
    {"eye", {2, 3}, {}, "", {{"f32", {2, 3}, {1, 0, 0, 0, 1, 0}}}},
    {"one_hot", {J}, {}, "", {{"i64", {3, 3}, {0, 0, 1, 1, 0, 0, 0, 1, 0}}}},
    {"one_hot", {J, 4}, {}, "", {{"i64", {3, 4}, {0, 0, 1, 0, 1, 0, 0, 0, 0, 1, 0, 0}}}},
    {"full", {L({Value(2), Value(2)}), 7}, {}, "", {{"i64", {2, 2}, {7, 7, 7, 7}}}},
    {"full", {L({Value(2)}), 0.5}, {}, "", {{"f32", {2}, {0.5, 0.5}}}},
    {"tensor",
     {L({Value(L({Value(1), Value(2)})), Value(L({Value(3), Value(4)}))})},
     {},
     "",
     {{"i64", {2, 2}, {1, 2, 3, 4}}}},
    {"tensor", {L({Value(1), Value(2.5)})}, {}, "", {{"f32", {2}, {1, 2.5}}}},
    {"tensor", {L({Value(true), Value(false)})}, {}, "", {{"bool", {2}, {1, 0}}}},
    {"zeros_like", {I}, {}, "", {{"i64", {2, 3}, {0, 0, 0, 0, 0, 0}}}},
    {"ones_like", {H}, {}, "", {{"bf16", {3, 4}, {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}}}},
    {"full_like", {V, 3.0}, {}, "", {{"f32", {4}, {3, 3, 3, 3}}}},
    {"float", {I}, {}, "", {{"f32", {2, 3}, {4, -3, 2, 0, 7, -5}}}},
    {"long", {M}, {}, "", {{"i64", {3, 4}, {-1, 0, 0, 1, 0, 0, 1, -1, 0, 0, -1, 0}}}},
    {"bool", {M}, {}, "", {{"bool", {3, 4}, {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}}}},
    {"int", {M}, {}, "", {{"i32", {3, 4}, {-1, 0, 0, 1, 0, 0, 1, -1, 0, 0, -1, 0}}}},
    {"double", {I}, {}, "", {{"f64", {2, 3}, {4, -3, 2, 0, 7, -5}}}},
    {"to", {M, DType::i64}, {}, "", {{"i64", {3, 4}, {-1, 0, 0, 1, 0, 0, 1, -1, 0, 0, -1, 0}}}},
    {"type_as", {I, M}, {}, "", {{"f32", {2, 3}, {4, -3, 2, 0, 7, -5}}}},
    {"half", {V}, {}, "ToCopyBackward0", {{"f16", {4}, {-1.5, 1, 0, -1}}}},
    {"index_add",
     {M, 0, J, P},
     {},
     "IndexAddBackward0",
     {{"f32",
       {3, 4},
       {-1, 0.3125, 1.625, 1.5, -0.0625, 1.25, 1.125, -0.4375, -0.0625, 1.25, -0.3125, 1}}}},
    {"index_add",
     {M, 0, J, P},
     {{"alpha", 2}},
     "IndexAddBackward0",
     {{"f32",
       {3, 4},
       {-0.625, 1.125, 2.875, 1.75, 0.625, 2.375, 1.25, 0.125, 0, 1.75, 0.625, 2.375}}}},
    {"diag",
     {V},
     {},
     "DiagEmbedBackward0",
     {{"f32", {4, 4}, {-1.5, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, -1}}}},
    {"diag", {V, 1}, {}, "DiagEmbedBackward0", {{"f32", {5, 5}, {0, -1.5, 0, 0, 0, 0, 0, 1, 0,
                                                                 0, 0,    0, 0, 0, 0, 0, 0, 0,
                                                                 0, -1,   0, 0, 0, 0, 0}}}},
    {"diag", {S, -1}, {}, "?", {{"f32", {2}, {1.25, -1}}}},
    {"meshgrid",
     {L({Value(V), Value(V)})},
     {},
     "ExpandBackward0",
     {{"f32", {4, 4}, {-1.5, -1.5, -1.5, -1.5, 1, 1, 1, 1, 0, 0, 0, 0, -1, -1, -1, -1}},
      {"f32", {4, 4}, {-1.5, 1, 0, -1, -1.5, 1, 0, -1, -1.5, 1, 0, -1, -1.5, 1, 0, -1}}}},
    {"meshgrid",
     {J, J},
     {{"indexing", "xy"}},
     "",
     {{"i64", {3, 3}, {2, 0, 1, 2, 0, 1, 2, 0, 1}}, {"i64", {3, 3}, {2, 2, 2, 0, 0, 0, 1, 1, 1}}}},
    {"scatter",
     {M, 0, J2, P},
     {},
     "ScatterBackward0",
     {{"f32",
       {3, 4},
       {0.0625, -0.5, 1.25, 1.375, -0.75, 0.5, 1, 0.25, 0.375, 0.8125, 0.9375, -0.375}}}},
    {"scatter",
     {M, 0, J2, 7.0},
     {},
     "?",
     {{"f32", {3, 4}, {7, -0.5, 7, 7, -0.75, 7, 1, 7, 7, 7, 7, -0.375}}}},
    {"pixel_shuffle", {Q, 2}, {}, "?", {{"f32", {1, 4, 6}, {-1.375, 1,      -0.5,   -1,    0.375,
                                                            -0.125, 0.5,    0,      1.375, 0.875,
                                                            -0.625, -1.125, 1.25,   0.75,  -0.75,
                                                            -1.25,  0.125,  -0.375, 0.25,  -0.25,
                                                            1.125,  0.625,  -0.875, -1.375}}}},
    {"pixel_unshuffle", {R, 2}, {}, "?", {{"f32", {4, 2, 3}, {-1.375, 0.375,  -0.75, 0.5,    -0.625,
                                                              1.125,  -0.5,   1.25,  0.125,  1.375,
                                                              0.25,   -0.875, 1,     -0.125, -1.25,
                                                              0,      -1.125, 0.625, -1,     0.75,
                                                              -0.375, 0.875,  -0.25, -1.375}}}},
    {"fliplr",
     {S},
     {},
     "FlipBackward0",
     {{"f32", {3, 3}, {0.375, -0.5, -1.375, 0.125, -0.75, 1.25, -0.125, -1, 1}}}},
};

}  // namespace

TEST_CASE("indexing and creation: values, shapes, types and nodes are PyTorch's") {
  for (const Row& r : kIndexRows) {
    CAPTURE(r.function);
    check_outputs(r, run(r.function, r.pos, r.kw));
    check_node(r);
  }
}

TEST_CASE("indexing and creation: operands may lie in memory as they like") {
  for (const Row& r : kIndexRows) {
    CAPTURE(r.function);
    check_outputs(r, run(r.function, mapped(r.pos, scattered), r.kw));
  }
}

TEST_CASE("indexing and creation: the meta device gives the same shapes and types") {
  for (const Row& r : kIndexRows) {
    CAPTURE(r.function);
    // What a mask selects, and the largest class, depend on data.
    if (r.function == "masked_select") continue;
    if (r.function == "one_hot" && r.pos.size() == 1) continue;
    check_meta(r);
  }
}

TEST_CASE("indexing and creation: gradients agree with differences") {
  for (const Row& r : kIndexRows) {
    CAPTURE(r.function);
    if (r.function == "half") continue;  // rounds the steps of the differences away
    check_gradients(r, false);
    check_gradients(r, true);
  }
}

TEST_SUITE_END();
