// Plans the passes of a field's transforms, and runs them on one sample.
#include "nnm/data/pipeline.h"

#include <cstring>

#include "nnm/data/convert.h"

namespace nnm::data {
namespace {

// Tables stay in the first-level cache; what would need more channels is computed.
constexpr size_t kMaxTable = size_t{16} << 10;
constexpr int64_t kLevels = 256;

template <class T>
void look_up(const T* table, const uint8_t* x, T* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = table[x[i]];
}

}  // namespace

Pipeline::Pipeline(const SampleType& stored, DType natural, PipelineOptions options)
    : output_(stored), seed_(options.seed) {
  if (options.wanted == DType::f64) floats_ = DType::f64;
  add_conversion(natural == DType::f32 ? floats_ : natural);
  for (const Ref<Transform>& t : options.transforms) add_transform(t, options.training);
  if (options.wanted) {
    if (is_floating(output_.dtype) && !is_floating(*options.wanted)) {
      throw Error(ErrorKind::value,
                  fmt::format("the data are {}, the model wants {}", info(output_.dtype).name,
                              info(*options.wanted).name),
                  fmt::format("add the transform to({})", info(*options.wanted).name));
    }
    add_conversion(*options.wanted);
  }
  fold_tables();
  for (size_t i = 0; i + 1 < steps_.size(); ++i) {
    scratch_bytes_ = std::max(scratch_bytes_, steps_[i].out.bytes());
  }
}

void Pipeline::add_conversion(DType to) {
  if (to == output_.dtype) return;
  const SampleType in = output_;
  output_.dtype = to;
  steps_.push_back({nullptr, in, output_, {}, 1, -1});
}

void Pipeline::add_transform(const Ref<Transform>& t, bool training) {
  if (t->wants_float() && output_.dtype != DType::f32 && output_.dtype != DType::f64) {
    add_conversion(floats_);
  }
  const SampleType in = output_;
  output_ = t->infer(in);
  const Transform::Work work = t->work(training);
  // Only a random transform works differently in training, or draws at all.
  const int random = t->random() ? randoms_++ : -1;
  if (work == Transform::Work::none) return;
  steps_.push_back({t, in, output_, {}, 1, training ? random : -1});
}

bool Pipeline::foldable(const Step& s) const {
  return !s.transform || (s.transform->work(true) == Transform::Work::pointwise && s.random < 0);
}

Pipeline::Step Pipeline::table_of(size_t begin, size_t end) const {
  Step table{nullptr, steps_[begin].in, steps_[end - 1].out, {}, 1, -1};
  for (size_t i = begin; i < end; ++i) {
    const Step& s = steps_[i];
    if (!s.transform || !s.transform->per_channel()) continue;
    if (table.channels != 1 && table.channels != s.in.shape[0]) return {};
    table.channels = s.in.shape[0];
  }
  const auto channels = static_cast<size_t>(table.channels);
  if (channels * kLevels * item_size(table.out.dtype) > kMaxTable) return {};
  std::vector<char> x(channels * kLevels), y;
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<char>(i % kLevels);
  for (size_t i = begin; i < end; ++i) {
    const Shape levels{table.channels, kLevels};
    const Step s{steps_[i].transform,
                 {steps_[i].in.dtype, levels},
                 {steps_[i].out.dtype, levels},
                 {},
                 1,
                 -1};
    y.resize(s.out.bytes());
    run_step(s, x.data(), y.data(), 0, 0);
    x.swap(y);
  }
  table.table = std::move(x);
  return table;
}

void Pipeline::fold_tables() {
  for (size_t i = 0; i < steps_.size(); ++i) {
    if (steps_[i].in.dtype != DType::u8) continue;
    size_t end = i;
    while (end < steps_.size() && foldable(steps_[end])) ++end;
    // A lone conversion is as fast as a table.
    if (end == i || (end == i + 1 && !steps_[i].transform)) continue;
    Step table = table_of(i, end);
    if (table.table.empty()) continue;
    steps_[i] = std::move(table);
    steps_.erase(steps_.begin() + static_cast<int64_t>(i) + 1,
                 steps_.begin() + static_cast<int64_t>(end));
  }
}

void Pipeline::run_step(const Step& s, const void* x, void* y, int64_t epoch,
                        int64_t sample) const {
  if (!s.table.empty()) {
    const int64_t n = s.in.shape.numel() / s.channels;
    with_width(s.out.dtype, [&](auto zero) {
      using T = decltype(zero);
      for (int64_t c = 0; c < s.channels; ++c) {
        look_up(reinterpret_cast<const T*>(s.table.data()) + c * kLevels,
                static_cast<const uint8_t*>(x) + c * n, static_cast<T*>(y) + c * n, n);
      }
    });
  } else if (!s.transform) {
    convert(s.in.dtype, x, s.out.dtype, y, s.in.shape.numel());
  } else if (s.random >= 0) {
    // A place far from that of any other random transform of the list.
    Draws draws(seed_ + 0x9e3779b97f4a7c15u * static_cast<uint64_t>(s.random + 1), epoch, sample);
    s.transform->apply(s.in, x, s.out, y, &draws);
  } else {
    s.transform->apply(s.in, x, s.out, y, nullptr);
  }
}

void Pipeline::run(const void* x, void* y, int64_t epoch, int64_t sample, Scratch& scratch) const {
  if (steps_.empty()) {
    if (const size_t bytes = output_.bytes()) std::memcpy(y, x, bytes);
    return;
  }
  for (auto& b : scratch.buffers) {
    if (b.size() < scratch_bytes_) b.resize(scratch_bytes_);
  }
  for (size_t i = 0; i < steps_.size(); ++i) {
    void* to = i + 1 == steps_.size() ? y : scratch.buffers[i % 2].data();
    run_step(steps_[i], x, to, epoch, sample);
    x = to;
  }
}

}  // namespace nnm::data
