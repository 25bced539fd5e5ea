// Tokenizers, and windows of tokens as samples.
#include "nnm/data/text.h"

#include <algorithm>

#include "nnm/base/text.h"
#include "nnm/data/bytes.h"
#include "nnm/data/convert.h"
#include "nnm/data/transform.h"
#include "nnm/tensor/generator.h"

namespace nnm::data {
namespace {

constexpr size_t kCodePoints = 0x110000;
constexpr size_t kMaxMerges = size_t{256} << 20;

std::string place(std::string_view text, size_t at) {
  const std::string_view before = text.substr(0, at);
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const size_t start = before.rfind('\n') == before.npos ? 0 : before.rfind('\n') + 1;
  return fmt::format("{}:{}", line, 1 + code_points(before.substr(start)));
}

// Calls f(code point, offset, length) for each character.
template <class F>
void each_code_point(std::string_view text, const std::string& path, F f) {
  for (size_t i = 0; i < text.size();) {
    const auto lead = static_cast<uint8_t>(text[i]);
    if (lead < 0x80) {
      f(uint32_t{lead}, i, size_t{1});
      ++i;
      continue;
    }
    const size_t length = utf8_length(text.substr(i, 4));
    if (length == 0) {
      throw Error(ErrorKind::input_file,
                  fmt::format("{}:{}: byte 0x{:02x} is not UTF-8", path, place(text, i), lead),
                  "use `tokenizer: byte` for other encodings");
    }
    uint32_t c = lead & (0x7fu >> length);
    for (size_t k = 1; k < length; ++k) c = c << 6 | (static_cast<uint8_t>(text[i + k]) & 0x3fu);
    f(c, i, length);
    i += length;
  }
}

class Text final : public Dataset {
 public:
  // Tokens [begin, begin + count).
  Text(Tensor tokens, int64_t begin, int64_t count, int64_t context, const std::string& source)
      : Dataset(text_fields(tokens.dtype(), context, source)),
        tokens_(std::move(tokens)),
        begin_(begin),
        count_(count),
        context_(context),
        item_(static_cast<int64_t>(item_size(tokens_.dtype()))) {
    NNM_CHECK(count > context, input_file, "{}: {} tokens are too few for a context of {}", source,
              count, context);
  }
  int64_t size(bool training) const override {
    return training ? count_ / context_ : (count_ - 1) / context_;
  }
  std::vector<int64_t> order(bool training, bool shuffle, uint64_t seed,
                             int64_t epoch) const override {
    if (!training) {
      std::vector<int64_t> keys = Dataset::order(false, shuffle, seed, epoch);
      for (int64_t& k : keys) k *= context_;
      return keys;
    }
    std::vector<int64_t> keys(static_cast<size_t>(size(true)));
    Draws draws(Generator::for_name(seed, fmt::format("windows/{}", epoch)).seed, 0, 0);
    for (int64_t& k : keys) k = draws.below(count_ - context_);
    return keys;
  }
  const void* sample(int field, int64_t key) const override {
    return tokens_.data<char>() + (begin_ + key + field) * item_;
  }
  int64_t origin(int64_t key) const override { return begin_ + key; }
  std::pair<Ref<Dataset>, Ref<Dataset>> split(int64_t windows, uint64_t) const override {
    const int64_t taken = windows * context_ + 1;
    return {part(count_ - taken, taken), part(0, count_ - taken)};
  }
  Ref<Dataset> head(int64_t windows) const override {
    // One more token gives the last window its targets.
    return part(0, std::min(count_, std::min(windows, count_ / context_) * context_ + 1));
  }

 private:
  Ref<Dataset> part(int64_t begin, int64_t count) const {
    return make_ref<Text>(tokens_, begin_ + begin, count, context_, fields()[0].source);
  }
  Tensor tokens_;
  int64_t begin_, count_, context_, item_;
};

}  // namespace

Tokenizer::Tokenizer(const std::string& kind, std::string_view text, const std::string& path)
    : family_(kind) {
  if (kind == "byte") {
    for (int i = 0; i < 256; ++i) symbols_.emplace_back(1, static_cast<char>(i));
    return;
  }
  if (kind.starts_with("bpe:")) {
    const std::string file = kind.substr(std::min(kind.find_first_not_of(' ', 4), kind.size()));
    *this = restored("bpe", ByteReader(file).read_rest(kMaxMerges), file);
    return;
  }
  if (kind != "char") {
    throw Error(ErrorKind::config, fmt::format("unknown tokenizer `{}`", kind),
                kind == "bpe" ? "name the file of merges: `bpe: merges.txt`"
                              : "nnm has the tokenizers char, byte and `bpe: FILE`");
  }
  std::vector<bool> seen(kCodePoints);
  std::vector<std::pair<uint32_t, std::string>> found;
  each_code_point(text, path, [&](uint32_t c, size_t at, size_t length) {
    if (seen[c]) return;
    seen[c] = true;
    found.emplace_back(c, text.substr(at, length));
  });
  std::sort(found.begin(), found.end());
  for (auto& [c, symbol] : found) {
    source_ += symbol;
    symbols_.push_back(std::move(symbol));
  }
}

Tokenizer Tokenizer::restored(const std::string& family, const std::string& source,
                              const std::string& path) {
  if (family == "char" || family == "byte") return {family, source, path};
  NNM_CHECK(family == "bpe", input_file, "{}: unknown tokenizer `{}`", path, family);
  Tokenizer t;
  t.family_ = family;
  t.source_ = source;
  t.bpe_ = std::make_shared<Bpe>(source, path);
  t.symbols_ = t.bpe_->symbols();
  return t;
}

Tensor Tokenizer::encode(std::string_view text, const std::string& path) const {
  if (family_ == "byte") {
    return tensor_of<uint8_t>({reinterpret_cast<const uint8_t*>(text.data()), text.size()},
                              {static_cast<int64_t>(text.size())}, {DType::u8});
  }
  const DType stored = vocab() <= 256 ? DType::u8 : DType::i32;
  auto packed = [&](const std::vector<int32_t>& ids) {
    Tensor out = empty({static_cast<int64_t>(ids.size())}, {stored});
    convert(DType::i32, ids.data(), stored, out.data(), out.numel());
    return out;
  };
  if (bpe_) return packed(bpe_->encode(text));
  std::vector<int32_t> id_of(kCodePoints, -1);
  for (size_t i = 0; i < symbols_.size(); ++i) {
    each_code_point(symbols_[i], path,
                    [&](uint32_t c, size_t, size_t) { id_of[c] = static_cast<int32_t>(i); });
  }
  std::vector<int32_t> ids;
  ids.reserve(text.size());
  each_code_point(text, path, [&](uint32_t c, size_t at, size_t length) {
    NNM_CHECK(id_of[c] >= 0, input_file,
              "{}:{}: the character '{}' does not occur in the training text", path,
              place(text, at), escape_terminal(text.substr(at, length)));
    ids.push_back(id_of[c]);
  });
  return packed(ids);
}

std::string Tokenizer::decode(std::span<const int64_t> ids) const {
  std::string text;
  for (int64_t id : ids) {
    if (id >= 0 && id < vocab()) text += symbols_[static_cast<size_t>(id)];
  }
  return text;
}

std::vector<FieldInfo> text_fields(DType stored, int64_t context, const std::string& source) {
  return {{"ids", DType::i64, {context}, stored, source},
          {"targets", DType::i64, {context}, stored, source}};
}

Ref<Dataset> make_text(Tensor tokens, int64_t context, const std::string& source) {
  const int64_t n = tokens.numel();
  return make_ref<Text>(std::move(tokens), 0, n, context, source);
}

}  // namespace nnm::data
