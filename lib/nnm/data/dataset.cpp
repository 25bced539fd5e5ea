// Datasets in memory: arrays, subsets, text windows, synthetic data.
#include "nnm/data/dataset.h"

#include <charconv>
#include <cmath>
#include <cstring>
#include <map>
#include <numeric>

#include "nnm/base/file.h"
#include "nnm/ops/ops.h"

namespace nnm::data {
namespace {

// Rows are copied, not viewed: a batch must outlive the next one and be contiguous.
Tensor gather_rows(const Tensor& x, std::span<const int64_t> indices) {
  Shape shape = x.shape();
  shape[0] = static_cast<int64_t>(indices.size());
  Tensor out = empty(shape, x.options());
  const size_t row = static_cast<size_t>(x.strides()[0]) * item_size(x.dtype());
  char* to = out.data<char>();
  for (int64_t i : indices) {
    std::memcpy(to, x.data<char>() + static_cast<size_t>(i) * row, row);
    to += row;
  }
  return out;
}

Tensor row_range(const Tensor& x, int64_t begin, int64_t end) {
  Shape shape = x.shape();
  shape[0] = end - begin;
  return x.as_strided(shape, x.strides(), x.impl()->offset + begin * x.strides()[0]);
}

uint64_t hash_tensor(const Tensor& x) {
  const auto bytes = static_cast<size_t>(x.numel()) * item_size(x.dtype());
  constexpr size_t kSample = size_t{1} << 20;
  uint32_t crc = crc32c(x.data<char>(), std::min(bytes, kSample));
  if (bytes > kSample) crc = crc32c(x.data<char>() + bytes - kSample, kSample, crc);
  return uint64_t{crc} ^ bytes << 20;
}

class Arrays final : public Dataset {
 public:
  explicit Arrays(std::vector<std::pair<std::string, Tensor>> fields) {
    NNM_CHECK(!fields.empty(), input_file, "a data split without fields");
    for (auto& [name, t] : fields) {
      NNM_CHECK(t.dim() >= 1, input_file, "field `{}` is a single number; its first axis must count samples", name);
      NNM_CHECK(t.size(0) == fields[0].second.size(0), input_file,
                "fields of one split must have equal length: `{}` has {} samples, `{}` has {}", fields[0].first,
                fields[0].second.size(0), name, t.size(0));
      Shape shape = t.shape();
      shape.erase(0);
      info_.push_back({name, t.dtype(), shape});
      tensors_.push_back(contiguous(t));
    }
  }
  int64_t size() const override { return tensors_[0].size(0); }
  const std::vector<FieldInfo>& fields() const override { return info_; }
  Tensors gather(std::span<const int64_t> indices) const override {
    Tensors out;
    for (const Tensor& t : tensors_) out.push_back(gather_rows(t, indices));
    return out;
  }
  Tensors range(int64_t begin, int64_t end) const override {
    Tensors out;
    for (const Tensor& t : tensors_) out.push_back(row_range(t, begin, end));
    return out;
  }
  uint64_t fingerprint() const override {
    uint64_t h = 0;
    for (const Tensor& t : tensors_) h = h * 1099511628211u ^ hash_tensor(t);
    return h;
  }

 private:
  std::vector<FieldInfo> info_;
  Tensors tensors_;
};

class Subset final : public Dataset {
 public:
  Subset(Ref<Dataset> base, std::vector<int64_t> indices) : base_(std::move(base)), indices_(std::move(indices)) {}
  int64_t size() const override { return static_cast<int64_t>(indices_.size()); }
  const std::vector<FieldInfo>& fields() const override { return base_->fields(); }
  Tensors gather(std::span<const int64_t> indices) const override {
    std::vector<int64_t> mapped;
    mapped.reserve(indices.size());
    for (int64_t i : indices) mapped.push_back(indices_[static_cast<size_t>(i)]);
    return base_->gather(mapped);
  }
  uint64_t fingerprint() const override {
    return base_->fingerprint() ^ crc32c(indices_.data(), indices_.size() * sizeof(int64_t));
  }

 private:
  Ref<Dataset> base_;
  std::vector<int64_t> indices_;
};

// Sample i is a window of the ids; targets are the same window one further on.
class Text final : public Dataset {
 public:
  Text(Tensor ids, int64_t context, bool random) : ids_(std::move(ids)), context_(context), random_(random) {
    NNM_CHECK(ids_.numel() > context, input_file, "a text of {} tokens is too short for a context of {}",
              ids_.numel(), context);
    info_ = {{"ids", DType::i64, {context}}, {"targets", DType::i64, {context}}};
  }
  int64_t size() const override { return random_ ? ids_.numel() / context_ : (ids_.numel() - 1) / context_; }
  const std::vector<FieldInfo>& fields() const override { return info_; }
  bool windowed() const override { return random_; }
  std::vector<int64_t> epoch_indices(uint64_t seed, int64_t epoch) const override {
    Generator g = Generator::for_name(seed, fmt::format("windows/{}", epoch));
    return randint(0, ids_.numel() - context_, {size()}, &g).to_vector<int64_t>();
  }
  Tensors gather(std::span<const int64_t> indices) const override {
    const Shape shape{static_cast<int64_t>(indices.size()), context_};
    Tensor ids = empty(shape, {DType::i64}), targets = empty(shape, {DType::i64});
    const auto bytes = static_cast<size_t>(context_) * sizeof(int64_t);
    for (size_t i = 0; i < indices.size(); ++i) {
      const int64_t start = random_ ? indices[i] : indices[i] * context_;
      const auto row = static_cast<int64_t>(i) * context_;
      std::memcpy(ids.data<int64_t>() + row, ids_.data<int64_t>() + start, bytes);
      std::memcpy(targets.data<int64_t>() + row, ids_.data<int64_t>() + start + 1, bytes);
    }
    return {ids, targets};
  }
  uint64_t fingerprint() const override { return hash_tensor(ids_) ^ static_cast<uint64_t>(context_); }

 private:
  Tensor ids_;
  int64_t context_;
  bool random_;
  std::vector<FieldInfo> info_;
};

struct RandomSpec {
  DType dtype = DType::f32;
  Shape shape;
  int64_t bound = 2;
};

// "f32[1000, 20]" or "i64[1000] < 3".
RandomSpec parse_random(const std::string& name, std::string_view text) {
  auto bad = [&] [[noreturn]] {
    throw Error(ErrorKind::config, fmt::format("random field `{}`: cannot read `{}`", name, text),
                "write it as \"f32[1000, 20]\" or \"i64[1000] < 3\"");
  };
  const size_t open = text.find('['), close = text.find(']');
  if (open == std::string_view::npos || close == std::string_view::npos || close < open) bad();
  RandomSpec s;
  bool known = false;
  for (int t = 0; t < kDTypes; ++t) {
    if (text.substr(0, open) != kDTypeInfo[t].name) continue;
    s.dtype = static_cast<DType>(t);
    known = true;
  }
  if (!known) bad();
  auto number = [&](std::string_view part) {
    int64_t v = 0;
    while (!part.empty() && part.front() == ' ') part.remove_prefix(1);
    while (!part.empty() && part.back() == ' ') part.remove_suffix(1);
    auto [end, ec] = std::from_chars(part.data(), part.data() + part.size(), v);
    if (ec != std::errc() || end != part.data() + part.size() || v < 0) bad();
    return v;
  };
  std::string_view dims = text.substr(open + 1, close - open - 1);
  while (!dims.empty()) {
    const size_t comma = dims.find(',');
    s.shape.push_back(number(dims.substr(0, comma)));
    dims = comma == std::string_view::npos ? std::string_view() : dims.substr(comma + 1);
  }
  if (s.shape.empty()) bad();
  std::string_view rest = text.substr(close + 1);
  const size_t less = rest.find('<');
  if (less != std::string_view::npos) {
    s.bound = number(rest.substr(less + 1));
  } else if (!is_floating(s.dtype) && s.dtype != DType::b8) {
    bad();
  }
  return s;
}

}  // namespace

Tensors Dataset::range(int64_t begin, int64_t end) const {
  std::vector<int64_t> indices(static_cast<size_t>(end - begin));
  std::iota(indices.begin(), indices.end(), begin);
  return gather(indices);
}

std::vector<int64_t> Dataset::epoch_indices(uint64_t, int64_t) const {
  fail(ErrorKind::internal, "this dataset has no windows");
}

Ref<Dataset> make_arrays(std::vector<std::pair<std::string, Tensor>> fields) {
  return make_ref<Arrays>(std::move(fields));
}

Ref<Dataset> make_subset(Ref<Dataset> base, std::vector<int64_t> indices) {
  return make_ref<Subset>(std::move(base), std::move(indices));
}

Ref<Dataset> make_text(Tensor ids, int64_t context, bool random_windows) {
  return make_ref<Text>(std::move(ids), context, random_windows);
}

Ref<Dataset> make_random(const std::vector<std::pair<std::string, std::string>>& fields, uint64_t seed) {
  std::vector<std::pair<std::string, Tensor>> arrays;
  for (const auto& [name, text] : fields) {
    const RandomSpec s = parse_random(name, text);
    Generator g = Generator::for_name(seed, name);
    Tensor x = is_floating(s.dtype) ? randn(s.shape, {s.dtype}, &g) : to(randint(0, s.bound, s.shape, &g), s.dtype);
    arrays.emplace_back(name, std::move(x));
  }
  return make_arrays(std::move(arrays));
}

SplitIndices split_indices(int64_t n, double share, uint64_t seed) {
  const auto count = static_cast<int64_t>(share < 1 ? std::floor(static_cast<double>(n) * share) : share);
  NNM_CHECK(count >= 0 && count <= n, config, "a split of {} out of {} samples", share, n);
  Generator g = Generator::for_name(seed, "split");
  const std::vector<int64_t> order = randperm(n, &g).to_vector<int64_t>();
  SplitIndices s;
  s.taken.assign(order.begin(), order.begin() + count);
  s.rest.assign(order.begin() + count, order.end());
  std::sort(s.rest.begin(), s.rest.end());
  return s;
}

std::pair<Tokenizer, Tensor> read_text(const std::string& path, const std::string& kind) {
  constexpr size_t kMaxText = size_t{1} << 31;
  const std::string text = read_file(path, kMaxText);
  Tokenizer tokens{kind, {}};
  std::vector<int64_t> ids;
  if (kind == "byte") {
    for (int i = 0; i < 256; ++i) tokens.symbols.emplace_back(1, static_cast<char>(i));
    for (char c : text) ids.push_back(static_cast<uint8_t>(c));
  } else {
    NNM_CHECK(kind == "char", config, "unknown tokenizer `{}`; nnm has char and byte", kind);
    std::map<std::string_view, int64_t> symbols;
    std::vector<std::string_view> pieces;
    for (size_t i = 0; i < text.size();) {
      const auto lead = static_cast<uint8_t>(text[i]);
      const size_t length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
      pieces.push_back(std::string_view(text).substr(i, length));
      symbols.emplace(pieces.back(), 0);
      i += length;
    }
    int64_t next = 0;
    for (auto& [symbol, id] : symbols) {
      id = next++;
      tokens.symbols.emplace_back(symbol);
    }
    ids.reserve(pieces.size());
    for (std::string_view p : pieces) ids.push_back(symbols[p]);
  }
  return {tokens, tensor_of<int64_t>(ids, {static_cast<int64_t>(ids.size())}, {DType::i64})};
}

}  // namespace nnm::data
