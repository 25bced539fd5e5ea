// Arrays and subsets of samples in memory, and their order.
#include "nnm/data/dataset.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "nnm/base/file.h"
#include "nnm/data/transform.h"
#include "nnm/tensor/generator.h"

namespace nnm::data {
namespace {

class Arrays final : public Dataset {
 public:
  Arrays(std::vector<FieldInfo> infos, Tensors arrays)
      : Dataset(std::move(infos)), arrays_(std::move(arrays)), size_(arrays_[0].size(0)) {
    for (const Tensor& t : arrays_) {
      rows_.push_back(
          {t.data<char>(), t.strides()[0] * static_cast<int64_t>(item_size(t.dtype()))});
    }
  }
  int64_t size(bool) const override { return size_; }
  const void* sample(int field, int64_t key) const override {
    const Rows& r = rows_[static_cast<size_t>(field)];
    return r.data + key * r.step;
  }

 private:
  struct Rows {
    const char* data;
    int64_t step;
  };
  Tensors arrays_;
  std::vector<Rows> rows_;
  int64_t size_;
};

class Subset final : public Dataset {
 public:
  Subset(Ref<const Dataset> base, std::vector<int64_t> keys)
      : Dataset(base->fields()), base_(std::move(base)), keys_(std::move(keys)) {}
  int64_t size(bool) const override { return static_cast<int64_t>(keys_.size()); }
  const void* sample(int field, int64_t key) const override {
    return base_->sample(field, keys_[static_cast<size_t>(key)]);
  }
  bool decodes(int field) const override { return base_->decodes(field); }
  Shape decode(int field, int64_t key, std::vector<char>& bytes) const override {
    return base_->decode(field, keys_[static_cast<size_t>(key)], bytes);
  }
  std::string name_of(int64_t key) const override {
    return base_->name_of(keys_[static_cast<size_t>(key)]);
  }
  int64_t origin(int64_t key) const override {
    return base_->origin(keys_[static_cast<size_t>(key)]);
  }

 private:
  Ref<const Dataset> base_;
  std::vector<int64_t> keys_;
};

Tensor row_major(const Tensor& t) {
  if (t.is_contiguous()) return t;
  Tensor out = empty(t.shape(), t.options());
  const auto item = static_cast<int64_t>(item_size(t.dtype()));
  std::vector<int64_t> at(static_cast<size_t>(t.dim()), 0);
  char* to = out.data<char>();
  for (int64_t i = 0; i < t.numel(); ++i, to += item) {
    int64_t offset = 0;
    for (int d = 0; d < t.dim(); ++d) offset += at[static_cast<size_t>(d)] * t.strides()[d];
    std::memcpy(to, t.data<char>() + offset * item, static_cast<size_t>(item));
    for (int d = t.dim() - 1; d >= 0 && ++at[static_cast<size_t>(d)] == t.shape()[d]; --d) {
      at[static_cast<size_t>(d)] = 0;
    }
  }
  return out;
}

constexpr int64_t kFingerprintBytes = int64_t{256} << 20;

int64_t bytes_of_sample(const FieldInfo& f) {
  return f.shape.numel() * static_cast<int64_t>(item_size(f.stored));
}

uint32_t crc_of_text(const std::string& text, uint32_t crc) {
  return crc32c(text.data(), text.size(), crc);
}

}  // namespace

std::string fingerprint(const Dataset& data) {
  const std::vector<int64_t> keys = data.order(false, false, 0, 0);
  const int64_t count = static_cast<int64_t>(keys.size());
  uint32_t crc = crc_of_text(std::to_string(count), 0);
  int64_t bytes = 0;
  for (const FieldInfo& f : data.fields()) {
    crc = crc_of_text(fmt::format("{} {} {};", f.name, info(f.stored).name, f.shape.str()), crc);
    bytes += bytes_of_sample(f) * count;
  }
  const size_t step = static_cast<size_t>(1 + bytes / kFingerprintBytes);
  for (size_t i = 0; i < data.fields().size(); ++i) {
    const int field = static_cast<int>(i);
    if (data.decodes(field)) {
      for (int64_t key : keys) {
        const std::string name = data.name_of(key);
        crc = crc_of_text(name.substr(name.find_last_of('/') + 1), crc);
      }
      continue;
    }
    const size_t size = static_cast<size_t>(bytes_of_sample(data.fields()[i]));
    for (size_t k = 0; k < keys.size(); k += step)
      crc = crc32c(data.sample(field, keys[k]), size, crc);
  }
  return fmt::format("{:08x}", crc);
}

FieldInfo field_of(const std::string& name, DType stored, const Shape& array,
                   const std::string& source) {
  NNM_CHECK(!array.empty(), input_file,
            "field `{}`{} is a single number; the first axis must count samples", name,
            source.empty() ? "" : " (" + source + ")");
  FieldInfo f{name, stored, array, stored, source};
  f.shape.erase(0);
  if (is_floating(stored)) f.dtype = DType::f32;
  if (is_integral(stored) && (stored != DType::u8 || f.shape.empty())) f.dtype = DType::i64;
  return f;
}

void check_lengths(const std::vector<std::pair<std::string, int64_t>>& lengths) {
  for (const auto& [name, n] : lengths) {
    NNM_CHECK(n == lengths[0].second, input_file,
              "fields of one split must have equal lengths: `{}` has {} samples, `{}` has {}",
              lengths[0].first, lengths[0].second, name, n);
  }
}

Ref<Dataset> make_arrays(std::vector<Field> fields) {
  NNM_CHECK(!fields.empty(), input_file, "a data split without fields");
  std::vector<FieldInfo> infos;
  Tensors arrays;
  std::vector<std::pair<std::string, int64_t>> lengths;
  for (const Field& f : fields) {
    infos.push_back(field_of(f.name, f.array.dtype(), f.array.shape(), f.source));
    arrays.push_back(row_major(f.array));
    lengths.emplace_back(f.name, f.array.size(0));
  }
  check_lengths(lengths);
  return make_ref<Arrays>(std::move(infos), std::move(arrays));
}

std::vector<int64_t> permutation(int64_t n, uint64_t seed, const std::string& purpose) {
  std::vector<int64_t> keys(static_cast<size_t>(n));
  std::iota(keys.begin(), keys.end(), 0);
  Draws draws(Generator::for_name(seed, purpose).seed, 0, 0);
  for (int64_t i = n - 1; i > 0; --i) {
    std::swap(keys[static_cast<size_t>(i)], keys[static_cast<size_t>(draws.below(i + 1))]);
  }
  return keys;
}

int64_t share_of(int64_t n, double share) {
  const double exact = static_cast<double>(n) * share;
  const double nearest = std::nearbyint(exact);
  return static_cast<int64_t>(std::fabs(exact - nearest) < 1e-9 * (1 + exact) ? nearest
                                                                              : std::floor(exact));
}

std::vector<int64_t> Dataset::order(bool training, bool shuffle, uint64_t seed,
                                    int64_t epoch) const {
  if (shuffle) return permutation(size(training), seed, fmt::format("order/{}", epoch));
  std::vector<int64_t> keys(static_cast<size_t>(size(training)));
  std::iota(keys.begin(), keys.end(), 0);
  return keys;
}

Shape Dataset::decode(int field, int64_t, std::vector<char>&) const {
  fail(ErrorKind::internal, "field `{}` is not decoded", fields()[static_cast<size_t>(field)].name);
}

std::pair<Ref<Dataset>, Ref<Dataset>> Dataset::split(int64_t count, uint64_t seed) const {
  std::vector<int64_t> keys = permutation(size(), seed, "split");
  std::vector<int64_t> rest(keys.begin() + count, keys.end());
  keys.resize(static_cast<size_t>(count));
  std::sort(rest.begin(), rest.end());
  const Ref<const Dataset> base(this);
  return {make_ref<Subset>(base, std::move(keys)), make_ref<Subset>(base, std::move(rest))};
}

Ref<Dataset> Dataset::head(int64_t count) const {
  std::vector<int64_t> keys(static_cast<size_t>(std::min(count, size())));
  std::iota(keys.begin(), keys.end(), 0);
  return make_ref<Subset>(Ref<const Dataset>(this), std::move(keys));
}

}  // namespace nnm::data
