// Text as numbers: tokenizers, and windows of tokens as samples.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "nnm/data/bpe.h"
#include "nnm/data/dataset.h"

namespace nnm::data {

/// How a text becomes ids: `byte` (0..255), `char` (the distinct code points of a text, sorted), or
/// `bpe: FILE` (GPT-2's, by its merges.txt).
class Tokenizer {
 public:
  Tokenizer() = default;
  /// Of kind `byte`, `char` for this text, or `bpe: FILE`. Throws Error(config) for another kind,
  /// and Error(input_file) naming `path` where a text is not UTF-8, or the file of merges.
  Tokenizer(const std::string& kind, std::string_view text, const std::string& path);
  /// The one whose family() and source() these are, without its files. Throws Error(input_file)
  /// naming `path` for what no tokenizer gives.
  static Tokenizer restored(const std::string& family, const std::string& source,
                            const std::string& path);

  /// `byte`, `char` or `bpe`.
  const std::string& family() const { return family_; }
  /// What the vocabulary is made from: all characters of `char`, the merges of `bpe`.
  const std::string& source() const { return source_; }
  int64_t vocab() const { return static_cast<int64_t>(symbols_.size()); }
  /// The text of each id.
  const std::vector<std::string>& symbols() const { return symbols_; }
  /// One id per token, u8 if the vocabulary fits, else i32. Throws Error(input_file) with path,
  /// line and column for what the vocabulary lacks.
  Tensor encode(std::string_view text, const std::string& path) const;
  /// The text of ids; those that do not exist are skipped.
  std::string decode(std::span<const int64_t> ids) const;

 private:
  std::string family_, source_;
  std::vector<std::string> symbols_;
  std::shared_ptr<const Bpe> bpe_;
};

/// Fields `ids` and `targets` (context each, i64): targets are the ids one token further on.
/// `source` is the file. Throws Error(input_file) for fewer than context + 1 tokens.
Ref<Dataset> make_text(Tensor tokens, int64_t context, const std::string& source);
/// Its fields, before the text is read.
std::vector<FieldInfo> text_fields(DType stored, int64_t context, const std::string& source);

}  // namespace nnm::data
