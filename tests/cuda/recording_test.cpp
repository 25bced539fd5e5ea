// Work that is recorded on a GPU, here the emulated one, and done again.
#include "nnm/tensor/recording.h"

#include <doctest/doctest.h>

#include <cstdlib>

#include "nnm/nnm.h"
#include "nnm/tensor/allocator.h"
#include "nnm/train/repeated_step.h"
#include "support/gpu.h"

namespace nnm {
namespace {

using testing::emulated_gpu;

Tensor on_gpu(std::vector<float> values) {
  const auto n = static_cast<int64_t>(values.size());
  return to(tensor_of<float>(values, {n}, {}), {DType::f32, emulated_gpu()});
}
std::vector<float> numbers_of(const Tensor& t) { return t.to_vector<float>(); }

TEST_CASE("recorded work runs again on what its inputs hold then") {
  const Tensor x = on_gpu({1, 2, 3});
  Recording recording(emulated_gpu());
  const Tensor doubled = add(x, x), total = sum(doubled);
  recording.fetch(1, total);
  CHECK(recording.end_part(true));
  const Tensor squares = mul(doubled, doubled);
  CHECK(recording.end_part(false));
  CHECK(recording.fetched(1, DType::f32).d == 12);
  CHECK(numbers_of(squares) == std::vector<float>{4, 16, 36});
  copy_(x, on_gpu({5, 6, 7}));
  CHECK(numbers_of(squares) == std::vector<float>{4, 16, 36});
  CHECK(recording.replay());
  CHECK(recording.fetched(1, DType::f32).d == 36);
  CHECK(numbers_of(squares) == std::vector<float>{100, 144, 196});
}

TEST_CASE("recorded draws go on from where the generator is") {
  const Tensor x = ones({1000}, {DType::f32, emulated_gpu()});
  manual_seed(3);
  std::vector<std::vector<float>> expected;
  for (int i = 0; i < 4; ++i) expected.push_back(numbers_of(dropout(x, 0.5, true)));
  manual_seed(3);
  (void)dropout(x, 0.5, true);
  Recording recording(emulated_gpu());
  const Tensor y = dropout(x, 0.5, true);
  CHECK(recording.end_part(false));
  CHECK(numbers_of(y) == expected[1]);
  CHECK(numbers_of(dropout(x, 0.5, true)) == expected[2]);
  CHECK(recording.replay());
  CHECK(numbers_of(y) == expected[3]);
  CHECK(default_generator().offset == 4 * 250);
  manual_seed(4);
  CHECK_FALSE(recording.replay());
}

TEST_CASE("a draw with another seed, or a look at results, ends what is recorded") {
  const Tensor x = on_gpu({1, 2, 3});
  {
    Recording recording(emulated_gpu());
    const Tensor y = add(x, x);
    CHECK(numbers_of(y) == std::vector<float>{2, 4, 6});
    const Tensor z = add(y, x);
    CHECK_FALSE(recording.end_part(false));
    CHECK(numbers_of(z) == std::vector<float>{3, 6, 9});
    CHECK_FALSE(recording.replay());
  }
  Generator other(77);
  Recording recording(emulated_gpu());
  const Tensor y = dropout(x, 0.5, true, &other);
  CHECK_FALSE(recording.end_part(false));
}

TEST_CASE("recorded work is not done again once what it may read is gone") {
  Tensor x = on_gpu({1, 2, 3});
  Recording recording(emulated_gpu());
  const Tensor y = add(x, x);
  CHECK(recording.end_part(false));
  { const Tensor later = empty({5}, y.options()); }
  CHECK(recording.replay());
  x = {};
  CHECK_FALSE(recording.replay());
}

TEST_CASE("memory of recorded work serves nobody else, until there is no recording") {
  const Tensor x = on_gpu({1, 2, 3});
  const void* between = nullptr;
  {
    Recording recording(emulated_gpu());
    {
      const Tensor y = add(x, x);
      between = y.data();
    }
    CHECK(add(x, x).data() == between);  // within, memory is reused
    CHECK(recording.end_part(false));
    for (int i = 0; i < 3; ++i) {
      Tensors many;
      for (int k = 0; k < 5000; ++k) many.push_back(empty({3}, x.options()));
      for (const Tensor& t : many) REQUIRE(t.data() != between);
    }
  }
  Tensors many;
  bool found = false;
  for (int k = 0; k < 20000 && !found; ++k) {
    many.push_back(empty({3}, x.options()));
    found = many.back().data() == between;
  }
  CHECK(found);
}

TEST_CASE("recorded work leaves its memory to others where there is no more") {
  const TensorOptions bytes{DType::u8, emulated_gpu()};
  const Tensor x = on_gpu({1, 2, 3});
  const auto largest = [&] {
    for (int64_t size = int64_t{512} << 20;; size -= size / 8) {
      try {
        return empty({size}, bytes).numel();
      } catch (const Error&) {
      }
    }
  };
  // Whatever other cases keep is taken; of the rest there is enough once, and some for small ones.
  const Tensor taken = empty({largest()}, bytes);
  const int64_t most = [&] {
    const Recording trial(emulated_gpu());
    return largest() / 4 * 3;
  }();
  Recording recording(emulated_gpu());
  { const Tensor large = empty({most}, bytes); }
  const Tensor y = add(x, x);
  CHECK(recording.end_part(true));
  const Tensor z = add(y, y);
  CHECK(recording.end_part(false));
  CHECK(recording.replay());
  CHECK(recording.repeat(1));
  { const Tensor other = empty({most}, bytes); }
  CHECK_FALSE(recording.replay());
  CHECK_FALSE(recording.repeat(1));
  CHECK(numbers_of(z) == std::vector<float>{4, 8, 12});
}

TEST_CASE("indices may be looked at late") {
  const Device gpu = emulated_gpu();
  const Tensor logits = to(randn({3, 4}), {DType::f32, gpu}),
               table = to(randn({4, 2}), {DType::f32, gpu});
  const Tensor good = tensor({1, -100, 3}, {}, gpu), wrong = tensor({1, 4, -1}, {}, gpu);
  const Tensor bad = zeros({1}, {DType::i64, gpu});
  CHECK_THROWS_AS(cross_entropy(logits, wrong), LabelError);
  const double expected = cross_entropy(logits, good).item().d;
  {
    const LateIndexChecks late(bad);
    CHECK(cross_entropy(logits, good).item().d == expected);
    CHECK(bad.item().i == 0);
    CHECK(numbers_of(embedding(wrong, table)) ==
          numbers_of(embedding(tensor({1, 0, 0}, {}, gpu), table)));
    CHECK(bad.item().i == 1);
    copy_(bad, zeros({1}, {DType::i64, gpu}));
    (void)cross_entropy(logits, wrong);
    CHECK(bad.item().i == 1);
  }
  CHECK_THROWS_AS(embedding(wrong, table), Error);
}

/// A layer that counts what its forward is called for.
struct Counting final : Module {
  explicit Counting(Device device) {
    weight = register_parameter("weight", parameter(ones({3}, {DType::f32, device})));
  }
  std::string type_name() const override { return "Counting"; }
  Tensor forward(const Tensor& x) override {
    ++calls;
    return mul(x, *weight);
  }
  Parameter weight;
  int calls = 0;
};

train::RepeatedStep::Work plain_work(std::function<Tensor()> forward) {
  return {std::move(forward), [](const Tensor& loss) { loss.backward(); }, [] {}};
}

TEST_CASE("a step is repeated without its modules, unless somebody looks on") {
  const Device gpu = emulated_gpu();
  const auto model = make_ref<Counting>(gpu);
  Tensors fields = {on_gpu({1, 2, 3})};
  train::RepeatedStep step(model, model->parameters(),
                           plain_work([&] { return sum((*model)(fields[0])); }));
  const auto take = [&] {
    const auto loss = step.loss(fields);
    if (!loss) return false;
    step.set_gradients();
    CHECK(*loss == doctest::Approx(sum(mul(fields[0], *model->weight)).item().d));
    CHECK(numbers_of(model->weight->grad()) == numbers_of(fields[0]));
    model->weight->set_grad({});
    return true;
  };
  for (int i = 0; i < 3; ++i) CHECK_FALSE(take());
  CHECK(model->calls == 0);
  CHECK(take());
  CHECK(model->calls == 1);
  copy_(fields[0], on_gpu({4, 5, 6}));
  NoGradGuard no_grad;
  copy_(*model->weight, on_gpu({2, 2, 3}));
  CHECK(take());
  CHECK(model->calls == 1);
  // Another shape waits.
  const Tensors inputs = std::exchange(fields, {on_gpu({1, 2})});
  CHECK_FALSE(take());
  fields = inputs;
  CHECK(take());
  int seen = 0;
  RemovableHandle handle = model->register_forward_hook(
      [&](Module&, const Args&, const Value&) -> Value { return ++seen, Value(); });
  CHECK_FALSE(take());
  handle.remove();
  CHECK(take());
  model->eval();
  CHECK_FALSE(take());
}

TEST_CASE("buffers that a repeated forward writes are known to be written") {
  const Device gpu = emulated_gpu();
  const auto norm = make_ref<nn::BatchNorm1d>(2);
  norm->to(gpu);
  const TensorOptions there{DType::f32, gpu};
  const Tensor x = to(randn({4, 2}), there), y = to(randn({4, 2}), there);
  Tensors fields = {x};
  train::RepeatedStep step(norm, norm->parameters(),
                           plain_work([&] { return sum((*norm)(fields[0])); }));
  for (int i = 0; i < 3; ++i) CHECK_FALSE(step.loss(fields));
  CHECK(step.loss(fields));
  copy_(fields[0], y);
  const uint32_t version = norm->running_mean->version();
  CHECK(step.loss(fields));
  CHECK(norm->running_mean->version() == version + 1);
  CHECK(norm->num_batches_tracked->item().i == 2);
  const Tensor expected = add(mul(mean(x, {0}), 0.09), mul(mean(y, {0}), 0.1));
  CHECK(allclose(*norm->running_mean, expected, 1e-5));
}

TEST_CASE("a step that finds no memory to be recorded in is taken as usual, as are all after it") {
  const Device gpu = emulated_gpu();
  const auto norm = make_ref<nn::BatchNorm1d>(2);
  norm->to(gpu);
  Tensors fields = {to(randn({4, 2}), {DType::f32, gpu})};
  int64_t more = 0;
  train::RepeatedStep step(norm, norm->parameters(), plain_work([&] {
                             const Tensor y = dropout((*norm)(fields[0]), 0.5, true);
                             const Tensor large = empty({more}, {DType::u8, gpu});
                             return sum(y);
                           }));
  for (int i = 0; i < 3; ++i) CHECK_FALSE(step.loss(fields));
  const auto mean = numbers_of(*norm->running_mean);
  const Generator random = default_generator();
  more = 600 << 20;
  CHECK_FALSE(step.loss(fields));
  CHECK(numbers_of(*norm->running_mean) == mean);
  CHECK(norm->num_batches_tracked->item().i == 0);
  CHECK(default_generator().offset == random.offset);
  CHECK_FALSE(norm->weight->grad().defined());
  more = 0;
  for (int i = 0; i < 5; ++i) CHECK_FALSE(step.loss(fields));
}

TEST_CASE("modules of nnm are repeated unless it is not wished, others where it is") {
  const Device gpu = emulated_gpu();
  const auto own = make_ref<Counting>(gpu);
  const auto known = make_ref<nn::BatchNorm1d>(2);
  const auto possible = [&](const char* wish) {
    if (wish) setenv("NNM_CUDA_GRAPHS", wish, 1);
    const std::pair out{train::RepeatedStep::possible(*known, gpu),
                        train::RepeatedStep::possible(*own, gpu)};
    unsetenv("NNM_CUDA_GRAPHS");
    return out;
  };
  CHECK(possible(nullptr) == std::pair{true, false});
  CHECK(possible("0") == std::pair{false, false});
  CHECK(possible("1") == std::pair{true, true});
  CHECK_FALSE(train::RepeatedStep::possible(*known, Device{}));
}

TEST_CASE("hooks that may be repeated are no reason to take a step as usual") {
  const Device gpu = emulated_gpu();
  const auto model = make_ref<Counting>(gpu);
  Tensors fields = {on_gpu({1, 2, 3})};
  int seen = 0;
  const auto look = [&](Module&, const Args&, const Value&) -> Value { return ++seen, Value(); };
  const RemovableHandle ours = model->register_forward_hook(look),
                        leaf = model->weight->register_post_accumulate_grad_hook(
                            [&](const Tensor&) { ++seen; });
  train::RepeatedStep step(model, model->parameters(),
                           plain_work([&] { return sum((*model)(fields[0])); }),
                           {ours.id(), leaf.id()});
  const auto take = [&] {
    const bool taken = step.loss(fields).has_value();
    if (taken) step.set_gradients();
    model->weight->set_grad({});
    return taken;
  };
  for (int i = 0; i < 3; ++i) CHECK_FALSE(take());
  CHECK(take());
  CHECK_FALSE(step.repeats());
  CHECK(seen == 2);
  CHECK(take());
  CHECK(step.repeats());
  CHECK(seen == 2);
  RemovableHandle other = model->register_forward_hook(look);
  CHECK_FALSE(take());
  other.remove();
  CHECK(take());
  RemovableHandle on_leaf = model->weight->register_hook([](const Tensor&) {});
  CHECK_FALSE(take());
  on_leaf.remove();
  CHECK(take());
}

struct MicroBatch {
  std::vector<float> x;
  bool wide = false;     ///< of another shape
  bool dropped = false;  ///< without a backward, as one whose loss is not finite
  bool last = false;     ///< of its step
};

struct Accumulated {
  std::vector<std::vector<float>> gradients;  ///< after each batch
  int calls;                                  ///< of the model's forward
};

/// What steps of several batches leave, with all of them taken as usual or with what can be
/// repeated.
Accumulated accumulated(const std::vector<MicroBatch>& batches, bool repeats) {
  const auto model = make_ref<Counting>(emulated_gpu());
  Tensors fields;
  const auto forward = [&] { return sum(exp((*model)(fields[0]))); };
  const auto backward = [](const Tensor& loss) {
    loss.backward(full({}, 1.0 / 3, loss.options()));
  };
  train::RepeatedStep step(model, model->parameters(), {forward, backward, [] {}, true});
  Accumulated out;
  for (const MicroBatch& b : batches) {
    const bool in_place = !b.wide && !step.inputs().empty();
    if (in_place) {
      fields = step.inputs();
      copy_(fields[0], on_gpu(b.x));
    } else {
      fields = {reshape(on_gpu(b.x), b.wide ? Shape({1, 3}) : Shape({3}))};
    }
    const auto loss = repeats ? step.loss(fields) : std::nullopt;
    if (loss && !b.dropped) step.set_gradients();
    if (!loss) {
      const Tensor usual = forward();
      if (!b.dropped) backward(usual);
    }
    out.gradients.push_back(numbers_of(model->weight->grad()));
    if (b.last) model->weight->set_grad({});
  }
  out.calls = model->calls;
  return out;
}

TEST_CASE("gradients of several batches are added up by repeated steps as by others") {
  const std::vector<float> a = {0.1f, 0.7f, -1.3f}, b = {1.1f, -0.3f, 0.9f}, c = {0.6f, 0.2f, 1.7f};
  const MicroBatch last{.x = c, .last = true}, wide{.x = b, .wide = true};
  std::vector<MicroBatch> batches;
  const auto step = [&](std::vector<MicroBatch> all) {
    batches.insert(batches.end(), all.begin(), all.end());
  };
  step({{a}, {b}, last});
  step({{b}, {a}, last});  // its first batch is recorded
  step({{a}, {b}, last});
  step({{a}, wide, last});
  step({wide, {b}, last});
  step({{a}, {.x = b, .dropped = true}, last});
  const Accumulated usual = accumulated(batches, false), repeated = accumulated(batches, true);
  CHECK(usual.calls == 18);
  CHECK(repeated.calls == 6);
  CHECK(repeated.gradients == usual.gradients);
}

}  // namespace
}  // namespace nnm
