// Products against PyTorch.
#include <doctest/doctest.h>

#include "nnm/ops/autocast.h"
#include "ops/wave.h"
#include "support/checks.h"
#include "support/gradcheck.h"

using namespace nnm;
using nnm::testing::message_of;

TEST_CASE("products: integers wrap around") {
  const Tensor a = labels({1, 2, 3, 4}, {2, 2}), b = labels({5, 6, 7, 8}, {2, 2});
  CHECK(equal(mm(a, b), labels({19, 22, 43, 50}, {2, 2})));
  CHECK(equal(mm(a, transpose(b, 0, 1)), labels({17, 23, 39, 53}, {2, 2})));
  CHECK(equal(matmul(a, labels({5, 6}, {2})), labels({17, 39}, {2})));
  CHECK(equal(dot(labels({1, 2}, {2}), labels({3, 4}, {2})), labels({11}, {})));
  CHECK(equal(linear(a, b, labels({1, -1}, {2})), labels({18, 22, 40, 52}, {2, 2})));
  CHECK(equal(bmm(reshape(a, {1, 2, 2}), reshape(b, {1, 2, 2})),
              labels({19, 22, 43, 50}, {1, 2, 2})));
  CHECK(equal(addmm(a, a, b, 2, 3), labels({59, 70, 135, 158}, {2, 2})));
  const auto bytes = [](const Tensor& t) { return to(t, DType::u8); };
  CHECK(equal(mm(bytes(a), bytes(labels({100, 2, 3, 4}, {2, 2}))),
              bytes(labels({106, 10, 56, 22}, {2, 2}))));
  // More rows than columns, which goes by the transpose, and nothing to add up.
  CHECK(equal(mm(labels({1, 2, 3, 4, 5, 6}, {6, 1}), labels({2}, {1, 1})),
              labels({2, 4, 6, 8, 10, 12}, {6, 1})));
  CHECK(equal(mm(to(zeros({2, 0}), DType::i64), to(zeros({0, 1}), DType::i64)),
              labels({0, 0}, {2, 1})));
  CHECK(message_of([&] { mm(a, to(b, DType::f32)); }) ==
        "expected m1 and m2 to have the same dtype, but got: long int != float");
  const Tensor yes = to(labels({1}, {1, 1}), DType::b8);
  CHECK(message_of([&] { mm(yes, yes); }) == "\"addmm_impl_cpu_\" not implemented for 'Bool'");
}

TEST_CASE("products: values") {
  CHECK(differs(mm(wave({2, 3}), wave({3, 2}, 1)),
                {-0.70529839729, -1.10212368141, 1.18275154771, 1.32857985956}) == "");
  CHECK(differs(matmul(wave({2, 1, 2, 2}), wave({3, 2, 1}, 1)),
                {0.741262323268, 1.22389414315, -0.415034906867, 0.0997861099566, -0.552668722847,
                 -1.26923736956, -1.29740494928, -0.634347898866, 0.36969168046, -0.267775558339,
                 1.1294155009, 0.75602623439}) == "");
  CHECK(differs(matmul(wave({3}), wave({2, 3, 2}, 1)),
                {-0.70529839729, -1.10212368141, 0.207105889769, -0.719444902926}) == "");
  CHECK(differs(matmul(wave({2, 2, 3}), wave({3}, 1)),
                {1.06748973967, -0.386590371424, -0.368478569317, 1.05285279032}) == "");
  CHECK(differs(matmul(wave({2, 2, 3}), wave({3, 2}, 1)),
                {-0.70529839729, -1.10212368141, 1.18275154771, 1.32857985956, -1.43328705313,
                 -1.30014039754, 1.40883824479, 1.02226156869}) == "");
  CHECK(differs(matmul(wave({2, 3}), wave({3}, 1)), {1.06748973967, -0.386590371424}) == "");
  CHECK(differs(matmul(wave({3}), wave({3, 2}, 1)), {-0.70529839729, -1.10212368141}) == "");
  CHECK(differs(matmul(wave({3}), wave({3}, 1)), {1.06748973967}) == "");
  CHECK(differs(matmul(wave({2, 2, 3}), wave({1, 3, 1}, 1)),
                {1.06748973967, -0.386590371424, -0.368478569317, 1.05285279032}) == "");
  CHECK(differs(bmm(wave({2, 1, 3}), wave({2, 3, 2}, 1)),
                {-0.70529839729, -1.10212368141, 0.165315302787, 1.19532087013}) == "");
  CHECK(differs(addmm(wave({2}, 2), wave({2, 3}), wave({3, 2}, 1), 0.5, 2),
                {-0.955948081167, -2.08462269822, 2.82015180883, 2.77678438373}) == "");
  CHECK(differs(addmm(wave({2, 1}, 2), wave({2, 3}), wave({3, 2}, 1)),
                {0.203999029536, -0.192826254587, 1.42200087692, 1.56782918878}) == "");
  CHECK(differs(addmm(wave({2}, 2), wave({2, 0}), wave({0, 2}, 1)),
                {0.909297426826, 0.239249329214, 0.909297426826, 0.239249329214}) == "");
  CHECK(differs(outer(wave({2}), wave({3}, 1)),
                {0, 0, 0, 0.659146866071, 0.741262323268, 0.262405232423}) == "");
  CHECK(differs(linear(wave({2, 2, 3}), wave({2, 3}, 1), wave({2}, 2)),
                {1.9767871665, -1.22622434833, 0.522707055401, 1.14222352367, 0.540818857509,
                 0.0720153784296, 1.96215021715, -0.361341753032}) == "");
  CHECK(differs(linear(wave({6, 3}), wave({1, 3}, 1), wave({1}, 2)),
                {1.9767871665, 0.522707055401, 0.540818857509, 1.96215021715, -0.62593375861,
                 2.63236412912}) == "");
  CHECK(differs(linear(wave({3}), wave({2, 3}, 1), wave({2}, 2)), {1.9767871665, -1.22622434833}) ==
        "");
  CHECK(differs(linear(wave({2, 3}), wave({2, 3}, 1)),
                {1.06748973967, -1.46547367755, -0.386590371424, 0.902974194453}) == "");
  CHECK(differs(bilinear(wave({2, 3}), wave({2, 2}, 1), wave({2, 3, 2}, 2), wave({2}, 3)),
                {-1.32244597933, -2.39329234479, 0.391514047678, -0.935681194585}) == "");
}

TEST_CASE("einsum: values") {
  CHECK(differs(einsum("bij,bjk->bki", {wave({2, 2, 3}), wave({2, 3, 2}, 1)}),
                {-0.70529839729, 1.18275154771, -1.10212368141, 1.32857985956, -0.506019809567,
                 0.74964152349, -1.44186769599, 1.4117839627}) == "");
  CHECK(differs(einsum("ii->i", {wave({3, 3})}), {0, -0.442520443295, 0.793667863849}) == "");
  CHECK(differs(einsum("ii", {wave({3, 3})}), {0.351147420554}) == "");
  CHECK(differs(einsum("i,j,ij->", {wave({2}), wave({3}, 1), wave({2, 3}, 2)}), {-1.07058184565}) ==
        "");
  CHECK(differs(einsum("...ij,...jk", {wave({2, 2, 3}), wave({3, 2}, 1)}),
                {-0.70529839729, -1.10212368141, 1.18275154771, 1.32857985956, -1.43328705313,
                 -1.30014039754, 1.40883824479, 1.02226156869}) == "");
  CHECK(differs(einsum("ba", {wave({2, 3})}), {0, 0.427379880234, 0.783326909627, -0.442520443295,
                                               0.973847630878, -0.977530117665}) == "");
  CHECK(differs(einsum("i , j -> j i", {wave({2}), wave({3}, 1)}),
                {0, 0.659146866071, 0, 0.741262323268, 0, 0.262405232423}) == "");
  CHECK(differs(einsum("ij,ij->ij", {wave({2, 3}), wave({1, 3}, 1)}),
                {0, 0.741262323268, 0.326227416402, 0.359627768707, -0.418757134293,
                 -0.327461005838}) == "");
  CHECK(differs(einsum("ijk->j", {wave({2, 3, 2})}),
                {0.0273763225558, 3.16478518581, -1.46546796949}) == "");
}

TEST_CASE("products: gradients") {
  const auto product = [](const Tensors& v) { return matmul(v[0], v[1]); };
  const std::vector<std::pair<Shape, Shape>> shapes = {{{3}, {3}},
                                                       {{2, 3}, {3}},
                                                       {{3}, {3, 2}},
                                                       {{5, 3}, {3, 2}},
                                                       {{2, 4, 3}, {3}},
                                                       {{2, 4, 3}, {3, 2}},
                                                       {{3}, {2, 3, 4}},
                                                       {{2, 3}, {2, 3, 4}},
                                                       {{2, 4, 3}, {2, 3, 2}},
                                                       {{2, 1, 2, 3}, {4, 3, 2}},
                                                       {{1, 2, 3}, {4, 3, 2}}};
  for (const auto& [a, b] : shapes) {
    CAPTURE(a.str());
    CAPTURE(b.str());
    CHECK(gradcheck(product, {random_leaf(a), random_leaf(b, -1, 1, 2)}) == "");
    CHECK(gradcheck(product, {random_transposed_leaf(a), random_transposed_leaf(b, -1, 1, 2)}) ==
          "");
  }
  const auto addmm_scaled = [](const Tensors& v) { return addmm(v[0], v[1], v[2], 0.5, 2); };
  for (const Shape& bias : {Shape{2}, Shape{3, 2}, Shape{3, 1}, Shape{}})
    CHECK(gradcheck(addmm_scaled, {random_leaf(bias), random_leaf({3, 4}), random_leaf({4, 2})}) ==
          "");
  const auto layer = [](const Tensors& v) { return linear(v[0], v[1], v[2]); };
  for (const Shape& x : {Shape{3}, Shape{2, 3}, Shape{2, 2, 3}, Shape{0, 3}})
    CHECK(gradcheck(layer, {random_leaf(x), random_leaf({4, 3}), random_leaf({4})}) == "");
  CHECK(gradcheck([](const Tensors& v) { return bilinear(v[0], v[1], v[2], v[3]); },
                  {random_leaf({2, 2, 3}), random_leaf({2, 2, 2}), random_leaf({4, 3, 2}),
                   random_leaf({4})}) == "");
}

TEST_CASE("einsum: gradients") {
  const auto check = [](const std::string& equation, const Tensors& v) {
    CAPTURE(equation);
    CHECK(gradcheck([&](const Tensors& xs) { return einsum(equation, xs); }, v) == "");
  };
  check("bij,bjk->bki", {random_leaf({2, 3, 2}), random_leaf({2, 2, 4})});
  check("ii->i", {random_leaf({3, 3})});
  check("i,j,ij->", {random_leaf({2}), random_leaf({3}), random_leaf({2, 3})});
  check("...ij,...jk->...ik", {random_leaf({2, 1, 2, 3}), random_leaf({4, 3, 2})});
  check("ij,ij->ij", {random_leaf({2, 3}), random_leaf({1, 3})});
}

TEST_CASE("products: nodes are PyTorch's") {
  const Tensor x = wave_leaf({2, 3}), w = wave_leaf({4, 3}), b = wave_leaf({4});
  const Tensor y = linear(x, w, b);
  CHECK(std::string(y.grad_fn()->name) == "AddmmBackward0");
  CHECK(y.grad_fn()->next.size() == 3);
  CHECK(std::string(y.grad_fn()->next[2].node->name) == "TBackward0");
  CHECK(std::string(linear(x, w).grad_fn()->name) == "MmBackward0");
  CHECK(std::string(dot(b, b).grad_fn()->name) == "DotBackward0");
  y.backward(ones(y.shape(), y.options()));
  // The gradient of a weight lies as the weight does, without a copy.
  CHECK(w.grad().is_contiguous());
}

TEST_CASE("products: errors are PyTorch's") {
  const auto z = [](const Shape& s) { return zeros(s); };
  CHECK(message_of([&] {
          mm(z({2, 3}), z({4, 5}));
        }) == "mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)");
  CHECK(message_of([&] {
          linear(z({2, 7, 3}), z({4, 5}), z({4}));
        }) == "mat1 and mat2 shapes cannot be multiplied (14x3 and 5x4)");
  CHECK(message_of([&] { mm(z({2}), z({4, 5})); }) == "self must be a matrix");
  CHECK(message_of([&] {
          mm(z({2, 3}), to(z({3, 5}), DType::f64));
        }) == "expected m1 and m2 to have the same dtype, but got: float != double");
  CHECK(message_of([&] {
          linear(to(z({2, 3}), DType::f64), z({4, 3}), z({4}));
        }) == "mat1 and mat2 must have the same dtype, but got Double and Float");
  CHECK(message_of([&] {
          bmm(z({2, 3, 4}), z({2, 5, 4}));
        }) ==
        "Expected size for first two dimensions of batch2 tensor to be: [2, 4] but got: [2, 5].");
  CHECK(message_of([&] {
          matmul(z({2, 3, 4}), z({5, 4, 3}));
        }) ==
        "The size of tensor a (2) must match the size of tensor b (5) at non-singleton dimension "
        "0");
  CHECK(message_of([&] {
          matmul(z({2, 3}), z({4}));
        }) == "size mismatch, got input (2), mat (2x3), vec (4)");
  CHECK(message_of([&] { dot(z({3}), z({4})); }) ==
        "inconsistent tensor size, expected tensor [3] and src [4] to have the same number of "
        "elements, but got 3 and 4 elements respectively");
  CHECK(message_of([&] {
          addmm(z({7}), z({2, 3}), z({3, 4}));
        }) ==
        "The expanded size of the tensor (4) must match the existing size (7) at non-singleton "
        "dimension 1.  Target sizes: [2, 4].  Tensor sizes: [7]");
  CHECK(message_of([&] {
          einsum("ij,jk->ik", {z({2, 3}), z({4, 4})});
        }) ==
        "einsum(): subscript j has size 4 for operand 1 which does not broadcast with previously "
        "seen size 3");
  CHECK(message_of([&] {
          einsum("ij->ik", {z({2, 3})});
        }) == "einsum(): output subscript k does not appear in the equation for any input operand");
  CHECK(message_of([&] {
          einsum("ijk->ik", {z({2, 3})});
        }) ==
        "einsum(): the number of subscripts in the equation (3) does not match the number of "
        "dimensions (2) for operand 0 and no ellipsis was given");
  CHECK(message_of([&] {
          einsum("i1->i", {z({2, 3})});
        }) ==
        "einsum(): invalid subscript given at index 1 in the equation string, subscripts must be "
        "in [a-zA-Z]");
  CHECK(message_of([&] {
          bilinear(z({2, 3}), z({2, 4}), z({5, 3, 9}));
        }) == "bilinear(): input2 size does not match weight size: got 4 but expected 9");
}

TEST_CASE("products: shapes on the meta device, and operations counted") {
  const auto shape = [](const Tensor& x, const Tensor& y) {
    const Tensor real = matmul(x, y), meta = matmul(on_meta(x), on_meta(y));
    CHECK(meta.is_meta());
    CHECK(meta.shape() == real.shape());
  };
  shape(wave({2, 3}), wave({3, 4}));
  shape(wave({5, 1, 2, 3}), wave({4, 3, 2}));
  shape(wave({3}), wave({2, 3, 4}));
  FlopCounter outer;
  {
    FlopCounter inner;
    linear(on_meta(wave({2, 5, 3})), on_meta(wave({4, 3})), on_meta(wave({4})));
    CHECK(inner.flops == 2 * 10 * 3 * 4);
    bmm(wave({2, 3, 4}), wave({2, 4, 5}));
    CHECK(inner.flops == 2 * 10 * 3 * 4 + 2 * 2 * 3 * 4 * 5);
  }
  CHECK(outer.flops == 2 * 10 * 3 * 4 + 2 * 2 * 3 * 4 * 5);
}

TEST_CASE("products: short types accumulate in f32") {
  const Tensor x = wave({33, 70}), w = wave({20, 70}, 1), b = wave({20}, 2);
  const Tensor exact = linear(x, w, b);
  for (const DType t : {DType::bf16, DType::f16}) {
    const Tensor y = linear(to(x, t), to(w, t), to(b, t));
    CHECK(y.dtype() == t);
    // The same rounded operands in f64, rounded once at the end.
    const Tensor rounded =
        linear(to(to(x, t), DType::f64), to(to(w, t), DType::f64), to(to(b, t), DType::f64));
    CHECK(differs(to(y, DType::f64), to(to(rounded, t), DType::f64),
                  t == DType::bf16 ? 8e-3 : 1e-3) == "");
    CHECK(differs(to(y, DType::f64), exact, 0.1) == "");
  }
}

TEST_CASE("autocast: products in bf16, losses in f32") {
  const Tensor x = to(wave({4, 8}), DType::f32).requires_grad_(),
               w = to(wave({3, 8}, 1), DType::f32).requires_grad_();
  {
    const AutocastGuard autocast(DType::bf16);
    const Tensor y = linear(x, w);
    CHECK(y.dtype() == DType::bf16);
    const Tensor loss = cross_entropy(y, labels({0, 1, 2, 0}, {4}));
    CHECK(loss.dtype() == DType::f32);
    loss.backward();
  }
  CHECK(w.grad().dtype() == DType::f32);
  CHECK(x.grad().dtype() == DType::f32);
  CHECK(linear(x, w).dtype() == DType::f32);
}

TEST_CASE("rearrange: einops' notation") {
  const Tensor x = wave({2, 3, 24});
  const Tensor y = rearrange(x, "b t (n h e) -> n b h t e", {{"n", 3}, {"h", 2}});
  CHECK(y.shape() == Shape{3, 2, 2, 3, 4});
  CHECK(differs(y, permute(view(x, {2, 3, 3, 2, 4}), {2, 0, 3, 1, 4})) == "");
  CHECK(differs(rearrange(y, "n b h t e -> b t (n h e)"), x) == "");
  CHECK(rearrange(x, "... c -> c ...").shape() == Shape{24, 2, 3});
  CHECK(rearrange(x, "b ... -> b (...)").shape() == Shape{2, 72});
  CHECK(rearrange(wave({2, 1, 3}), "a 1 b -> b a 1 1").shape() == Shape{3, 2, 1, 1});
  CHECK(rearrange(x, "a b c->a b c").impl() == x.impl());
  CHECK(gradcheck(
            [](const Tensors& v) {
              return rearrange(v[0], "a (b c) -> (c a) b", {{"b", 2}});
            },
            {random_leaf({3, 4})}) == "");
  CHECK(message_of([&] { rearrange(x, "b t c -> b t"); }) ==
        "rearrange(\"b t c -> b t\"): `c` stands on the left side only");
  CHECK(message_of([&] { rearrange(x, "b t -> t b"); }) ==
        "rearrange(\"b t -> t b\"): the left side has 2 dimensions, the tensor of shape [2, 3, 24] "
        "has 3");
  CHECK(
      message_of([&] {
        rearrange(x, "b t (h e) -> b t h e", {{"h", 5}});
      }) ==
      "rearrange(\"b t (h e) -> b t h e\"): dimension 2 of size 24 is not divisible by 5 in shape "
      "[2, 3, 24]");
  CHECK(
      message_of([&] { rearrange(x, "b t (h e) -> b t h e"); }) ==
      "rearrange(\"b t (h e) -> b t h e\"): the sizes of `h` and `e` cannot both be inferred from "
      "dimension 2; give one of them");
  for (const char* bad :
       {"a b c", "a b c -> a b c -> a", "a (b c -> a b c", "a b) c -> a b c", "a ((b) c) -> a b c",
        "a a c -> a c", "a b ? -> a b", "a b 2 -> a b", "a b c -> a b c d", "a ... -> a"}) {
    CAPTURE(bad);
    CHECK(message_of([&] { rearrange(x, bad); }) != "no error");
  }
}
