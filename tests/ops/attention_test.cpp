// Attention against PyTorch.
#include <doctest/doctest.h>

#include "ops/wave.h"
#include "support/checks.h"
#include "support/gradcheck.h"

using namespace nnm;
using nnm::testing::message_of;

namespace {

Tensor attend(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& mask = {},
              double dropout_p = 0, bool causal = false, std::optional<double> scale = {}) {
  return scaled_dot_product_attention(q, k, v, mask, dropout_p, causal, scale);
}

}  // namespace

TEST_CASE("attention: values") {
  const Tensor mask =
      tensor_of<uint8_t>(std::vector<uint8_t>{1, 0, 1, 1, 1, 0, 0, 0, 1}, {3, 3}, {DType::b8, {}});
  CHECK(differs(attend(wave({1, 2, 3, 2}), wave({1, 2, 3, 2}, 1), wave({1, 2, 3, 2}, 2)),
                {0.209731663288, -0.0629917216952, 0.323231840511, -0.10809333702, -0.467843301732,
                 -0.184904959119, -0.119744210478, -0.118977947256, 0.413427471035, 0.040186596998,
                 -0.0657464038673, -0.241505069088}) == "");
  CHECK(
      differs(attend(wave({1, 2, 3, 2}), wave({1, 2, 3, 2}, 1), wave({1, 2, 3, 2}, 2), {}, 0, true),
              {0.909297426826, 0.239249329214, 0.436027763912, -0.146288416726, -0.467843301732,
               -0.184904959119, 0.898708095812, 0.902171833756, 0.544231605499, 0.101110883109,
               -0.0657464038673, -0.241505069088}) == "");
  CHECK(differs(attend(wave({1, 2, 3, 2}), wave({1, 2, 3, 2}, 1), wave({1, 2, 3, 2}, 2), mask, 0,
                       false, 0.3),
                {0.286669724222, 0.229497319171, 0.27576374855, -0.276843641537, -0.631266637872,
                 0.215119988088, -0.118795426408, 0.0874453943399, 0.553765428377, 0.122655818886,
                 -0.999990206551, -0.618137112237}) == "");
  CHECK(differs(attend(wave({2, 3, 2}), wave({2, 3, 2}, 1), wave({2, 3, 2}, 2), wave({3, 3}, 3)),
                {0.537625975252, 0.0561433416404, -0.0795312628613, -0.235640466229,
                 -0.211398005682, -0.287052357461, 0.295515449248, 0.261274398672, 0.138227561295,
                 -0.282459722153, 0.364029024959, 0.123091589265}) == "");
  CHECK(
      differs(attend(wave({2, 3, 2}), wave({2, 3, 2}, 1), wave({2, 3, 2}, 2), wave_leaf({3, 3}, 3)),
              {0.537625975252, 0.0561433416404, -0.0795312628613, -0.235640466229, -0.211398005682,
               -0.287052357461, 0.295515449248, 0.261274398672, 0.138227561295, -0.282459722153,
               0.364029024959, 0.123091589265}) == "");
  CHECK(differs(attend(wave({2, 3}), wave({4, 3}, 1), wave({4, 2}, 2), {}, 0, true),
                {0.909297426826, 0.239249329214, -0.122024195001, -0.600892020582}) == "");
  CHECK(differs(
            attend(wave({1, 2, 1, 3, 2}), wave({1, 1, 2, 3, 2}, 1), wave({3, 2}, 2), {}, 0, true),
            {0.909297426826,   0.239249329214,  0.436027763912,  -0.146288416726,   -0.467843301732,
             -0.184904959119,  0.909297426826,  0.239249329214,  -0.00394541380334, -0.504701981977,
             -0.391661547133,  0.0109237579682, 0.909297426826,  0.239249329214,    0.58264777832,
             -0.0268479490726, -0.168935754868, -0.276218974273, 0.909297426826,    0.239249329214,
             0.111429282914,   -0.410714760744, -0.239659830577, -0.236519376817}) == "");
}

TEST_CASE("attention: gradients") {
  const Tensor mask = tensor_of<uint8_t>(std::vector<uint8_t>{1, 0, 1, 1, 1, 0, 0, 1, 0, 0, 0, 0},
                                         {3, 4}, {DType::b8, {}});
  const auto check = [](const Tensor& mask, bool causal, const Tensors& qkv) {
    CHECK(gradcheck(
              [&](const Tensors& v) {
                return scaled_dot_product_attention(v[0], v[1], v[2], mask, 0, causal);
              },
              qkv) == "");
  };
  const Tensors four{random_leaf({2, 2, 3, 5}), random_leaf({2, 2, 4, 5}, -1, 1, 2),
                     random_leaf({2, 2, 4, 3}, -1, 1, 3)};
  check({}, false, four);
  check({}, true, four);
  check(mask, false, four);
  check(wave({2, 1, 3, 4}), false, four);
  check({}, true, {random_transposed_leaf({3, 2}), random_leaf({3, 2}), random_leaf({3, 2})});
  check({}, false, {random_leaf({2, 3, 2}), random_leaf({1, 3, 2}), random_leaf({2, 3, 2})});
  // Longer than a block of queries.
  check({}, true,
        {random_leaf({1, 1, 70, 2}), random_leaf({1, 1, 70, 2}, -1, 1, 2),
         random_leaf({1, 1, 70, 1}, -1, 1, 3)});
  CHECK(gradcheck(
            [](const Tensors& v) { return scaled_dot_product_attention(v[0], v[1], v[2], v[3]); },
            {random_leaf({2, 3, 2}), random_leaf({2, 4, 2}), random_leaf({2, 4, 2}),
             random_leaf({3, 4})}) == "");
}

TEST_CASE("attention: a row without keys gives zeros") {
  const Tensor none = zeros({3, 3}, {DType::b8, {}});
  const Tensor q = wave_leaf({1, 1, 3, 2});
  const Tensor y = scaled_dot_product_attention(q, wave({1, 1, 3, 2}), wave({1, 1, 3, 2}), none);
  CHECK(differs(y, std::vector<double>(6)) == "");
  sum(y).backward();
  CHECK(differs(q.grad(), std::vector<double>(6)) == "");
}

TEST_CASE("attention: dropout is that of its gradient") {
  // With v the identity the result is the dropped weights themselves.
  const Tensor q = wave({1, 2, 6, 4}), k = wave({1, 2, 6, 4}, 1);
  const Tensor v = clone(expand(eye(6, 6, {DType::f64, {}}), {1, 2, 6, 6})).requires_grad_();
  manual_seed(5);
  const Tensor y = scaled_dot_product_attention(q, k, v, {}, 0.5);
  const Tensor plain = scaled_dot_product_attention(q, k, v);
  const std::vector<double> got = y.to_vector<double>(), full = plain.to_vector<double>();
  int dropped = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    CHECK((got[i] == 0 || std::abs(got[i] - 2 * full[i]) < 1e-12));
    dropped += got[i] == 0;
  }
  CHECK(dropped > 20);
  CHECK(dropped < 52);
  y.backward(ones(y.shape(), y.options()));
  // d/dv of sum(y) is the column sums of the weights, in every column.
  CHECK(differs(narrow(v.grad(), 3, 0, 1), reshape(sum(y.detach(), {2}), {1, 2, 6, 1})) == "");
}

TEST_CASE("attention: layout, nodes, errors, meta") {
  const Tensor q = wave_leaf({2, 3, 4, 5});
  const Tensor y = scaled_dot_product_attention(q, q, q, {}, 0, true);
  CHECK(transpose(y, 1, 2).is_contiguous());
  CHECK(std::string(y.grad_fn()->name) == "ScaledDotProductFlashAttentionForCpuBackward0");
  FlopCounter counter;
  const Tensor meta = on_meta(q);
  CHECK(scaled_dot_product_attention(meta, meta, meta).shape() == q.shape());
  CHECK(counter.flops == 2 * 2 * 3 * 4 * 4 * 10);
  const auto z = [](const Shape& s) { return zeros(s); };
  CHECK(message_of([&] { scaled_dot_product_attention(z({8}), z({8}), z({8})); }) ==
        "Expected query, key, and value to all be  at least 2 dimensional, but got query.dim: 1 "
        "key.dim: 1 and value.dim: 1 instead.");
  CHECK(message_of([&] {
          scaled_dot_product_attention(z({4, 8}), z({4, 8}), z({4, 8}), z({4, 4}), 0, true);
        }) ==
        "_scaled_dot_product_attention: Explicit attn_mask should not be set when is_causal=True");
  CHECK(message_of([&] {
          scaled_dot_product_attention(z({2, 4, 8}), z({3, 4, 8}), z({3, 4, 8}));
        }) ==
        "The size of tensor a (2) must match the size of tensor b (3) at non-singleton dimension "
        "0");
}

TEST_CASE("attention: short types") {
  const Tensor q = wave({1, 2, 9, 8}), k = wave({1, 2, 9, 8}, 1), v = wave({1, 2, 9, 8}, 2);
  const Tensor exact = scaled_dot_product_attention(q, k, v, {}, 0, true);
  for (const DType t : {DType::f32, DType::bf16, DType::f16}) {
    const Tensor y = scaled_dot_product_attention(to(q, t), to(k, t), to(v, t), {}, 0, true);
    CHECK(y.dtype() == t);
    CHECK(differs(to(y, DType::f64), exact, t == DType::f32 ? 1e-6 : 0.02) == "");
  }
}
