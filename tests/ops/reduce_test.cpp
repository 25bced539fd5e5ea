// Reductions through the function table, against PyTorch.
#include "ops/torch_row.h"

using namespace nnm;
using namespace nnm::torch_row;

TEST_SUITE_BEGIN("ops");

namespace {

// Function, arguments, keywords; grad_fn; type, shape and values of every output in PyTorch.
const Row kReduceRows[] = {
    {"sum", {M}, {}, "SumBackward0", {{"f32", {}, {-1.875}}}},
    {"sum",
     {X, 1},
     {},
     "SumBackward1",
     {{"f32", {2, 4}, {-2.25, 0.375, 0.125, -0.125, 0.5, 0.25, 0, -0.25}}}},
    {"sum", {X, L({Value(0), Value(2)})}, {}, "SumBackward1", {{"f32", {3}, {1.25, 0.5, -3.125}}}},
    {"sum",
     {X, -1, true},
     {},
     "SumBackward1",
     {{"f32", {2, 3, 1}, {-0.25, -0.625, -1, 1.5, 1.125, -2.125}}}},
    {"sum", {I}, {}, "", {{"i64", {}, {5}}}},
    {"sum", {B, 0}, {}, "", {{"i64", {4}, {2, 2, 2, 0}}}},
    {"sum", {M}, {{"dtype", DType::f64}}, "SumBackward0", {{"f64", {}, {-1.875}}}},
    {"sum", {H, 1}, {}, "SumBackward1", {{"bf16", {3}, {-0.25, -0.625, -1}}}},
    {"mean", {M}, {}, "MeanBackward0", {{"f32", {}, {-0.15625}}}},
    {"mean",
     {X, L({Value(1), Value(2)})},
     {},
     "MeanBackward1",
     {{"f32", {2}, {-0.15625, 0.041666668}}}},
    {"mean",
     {X, 0},
     {{"keepdim", true}},
     "MeanBackward1",
     {{"f32",
       {1, 3, 4},
       {-0.4375, 0.4375, -0.125, 0.75, 0.1875, -0.375, 0.5, -0.0625, -0.625, 0.25, -0.3125,
        -0.875}}}},
    {"mean", {H}, {}, "MeanBackward0", {{"bf16", {}, {-0.15625}}}},
    {"mean", {I}, {{"dtype", DType::f32}}, "", {{"f32", {}, {0.83333331}}}},
    {"var", {M}, {}, "VarBackward0", {{"f32", {}, {0.76455969}}}},
    {"var", {M, 1}, {}, "VarBackward0", {{"f32", {3}, {1.2760416, 0.82682294, 0.67708331}}}},
    {"var",
     {M, 0},
     {{"unbiased", false}},
     "VarBackward0",
     {{"f32", {4}, {0.26041666, 0.26041666, 0.89930558, 0.89930558}}}},
    {"std", {M}, {}, "StdBackward0", {{"f32", {}, {0.87439102}}}},
    {"std",
     {X, 2},
     {{"keepdim", true}},
     "StdBackward0",
     {{"f32", {2, 3, 1}, {1.1296202, 0.90929806, 0.82285076, 0.82285076, 0.90929806, 0.90929806}}}},
    {"std",
     {M, 1},
     {{"correction", 0}},
     "StdBackward0",
     {{"f32", {3}, {0.97827977, 0.78747517, 0.71260965}}}},
    {"prod", {M}, {}, "ProdBackward0", {{"f32", {}, {-0.0013276935}}}},
    {"prod", {P, 1}, {}, "ProdBackward1", {{"f32", {3}, {0.040283203, 0.095214844, 0.054382324}}}},
    {"prod", {I, 0}, {}, "", {{"i64", {3}, {0, -21, -10}}}},
    {"max", {M}, {}, "MaxBackward1", {{"f32", {}, {1.25}}}},
    {"min", {M}, {}, "MinBackward1", {{"f32", {}, {-1.375}}}},
    {"max", {M, 1}, {}, "MaxBackward0", {{"f32", {3}, {1.25, 1, 0.75}}, {"i64", {3}, {3, 2, 1}}}},
    {"min",
     {X, 0, true},
     {},
     "MinBackward0",
     {{"f32",
       {1, 3, 4},
       {-1.375, -0.5, -0.625, 0.25, -0.75, -0.875, 0, -1, -1.125, -0.25, -1.25, -1.375}},
      {"i64", {1, 3, 4}, {0, 0, 1, 1, 0, 1, 1, 0, 1, 1, 0, 1}}}},
    {"max",
     {M, P},
     {},
     "MaximumBackward0",
     {{"f32",
       {3, 4},
       {0.0625, 0.5, 0.9375, 1.375, 0.375, 0.8125, 1.25, 0.25, 0.6875, 1.125, 0.125, 0.5625}}}},
    {"max", {I}, {}, "", {{"i64", {}, {7}}}},
    {"amax",
     {X, L({Value(0), Value(1)})},
     {},
     "AmaxBackward0",
     {{"f32", {4}, {1.125, 1.375, 1, 1.25}}}},
    {"amin", {M, 1}, {}, "AminBackward0", {{"f32", {3}, {-1.375, -1, -1.25}}}},
    {"argmax", {M}, {}, "", {{"i64", {}, {3}}}},
    {"argmax", {M, 0}, {}, "", {{"i64", {4}, {2, 2, 1, 0}}}},
    {"argmin", {M, 1}, {{"keepdim", true}}, "", {{"i64", {3, 1}, {0, 3, 2}}}},
    {"any", {B}, {}, "", {{"bool", {}, {1}}}},
    {"all", {B}, {}, "", {{"bool", {}, {0}}}},
    {"any", {B, 0}, {}, "", {{"bool", {4}, {1, 1, 1, 0}}}},
    {"all", {M, 1}, {}, "", {{"bool", {3}, {1, 1, 1}}}},
    {"norm", {M}, {}, "LinalgVectorNormBackward0", {{"f32", {}, {2.9501059}}}},
    {"norm", {M, 1}, {}, "LinalgVectorNormBackward0", {{"f32", {}, {8.875}}}},
    {"norm", {M, kInf}, {}, "LinalgVectorNormBackward0", {{"f32", {}, {1.375}}}},
    {"norm",
     {M, 3.0, 1},
     {},
     "LinalgVectorNormBackward0",
     {{"f32", {3}, {1.6786805, 1.3432822, 1.3443638}}}},
    {"norm",
     {M, 2, 0, true},
     {},
     "LinalgVectorNormBackward0",
     {{"f32", {1, 4}, {1.5712256, 0.91001374, 1.6441183, 1.6441183}}}},
    {"logsumexp",
     {M, 1},
     {},
     "LogsumexpBackward0",
     {{"f32", {3}, {1.7586687, 1.54579, 1.3795948}}}},
    {"logsumexp",
     {X, L({Value(0), Value(2)})},
     {},
     "LogsumexpBackward0",
     {{"f32", {3}, {2.58232, 2.4499383, 1.9737796}}}},
    {"cumsum",
     {M, 1},
     {},
     "CumsumBackward0",
     {{"f32",
       {3, 4},
       {-1.375, -1.875, -1.5, -0.25, -0.75, -0.625, 0.375, -0.625, -0.125, 0.625, -0.625, -1}}}},
    {"cumsum", {I, 0}, {}, "", {{"i64", {2, 3}, {4, -3, 2, 4, 4, -3}}}},
    {"count_nonzero", {I}, {}, "", {{"i64", {}, {5}}}},
    {"norm", {M, 0}, {}, "LinalgVectorNormBackward0", {{"f32", {}, {12}}}},
    {"allclose", {M, M}, {}, "", {{"bool", {}, {1}}}},
    {"equal", {M, P}, {}, "", {{"bool", {}, {0}}}},
    {"var_mean",
     {M, 1},
     {},
     "?",
     {{"f32", {3}, {1.2760416, 0.82682294, 0.67708331}}, {"f32", {3}, {-0.0625, -0.15625, -0.25}}}},
    {"std_mean", {M}, {}, "?", {{"f32", {}, {0.87439102}}, {"f32", {}, {-0.15625}}}},
    {"trace", {M}, {}, "?", {{"f32", {}, {-2.5}}}},
    {"diff",
     {M},
     {},
     "?",
     {{"f32", {3, 3}, {0.875, 0.875, 0.875, 0.875, 0.875, -2, 0.875, -2, 0.875}}}},
    {"diff", {M, 2, 0}, {}, "?", {{"f32", {1, 4}, {0, 0, -2.875, 2.875}}}},
    {"nansum", {M, 1}, {}, "?", {{"f32", {3}, {-0.25, -0.625, -1}}}},
    {"nanmean", {M}, {}, "?", {{"f32", {}, {-0.15625}}}},
};

}  // namespace

TEST_CASE("reductions: values, shapes, types and nodes are PyTorch's") {
  for (const Row& r : kReduceRows) {
    CAPTURE(r.function);
    check_outputs(r, run(r.function, r.pos, r.kw));
    check_node(r);
  }
}

TEST_CASE("reductions: operands may lie in memory as they like") {
  for (const Row& r : kReduceRows) {
    CAPTURE(r.function);
    check_outputs(r, run(r.function, mapped(r.pos, scattered), r.kw));
  }
}

TEST_CASE("reductions: the meta device gives the same shapes and types") {
  for (const Row& r : kReduceRows) {
    CAPTURE(r.function);
    if (r.function == "allclose" || r.function == "equal") continue;
    check_meta(r);
  }
}

TEST_CASE("reductions: gradients agree with differences") {
  for (const Row& r : kReduceRows) {
    CAPTURE(r.function);
    check_gradients(r, false);
    check_gradients(r, true);
  }
}

TEST_SUITE_END();
