// Byte pair encoding as GPT-2 has it, from its list of merges.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace nnm::data {

/// GPT-2's tokenizer: text is cut into words, each word into bytes, and pairs of neighbours are
/// merged in the order of the list. Ids are those of GPT-2's vocabulary: 256 bytes, one id for each
/// merge, and `<|endoftext|>` last (which no text is encoded to).
/// Source: Radford et al., "Language Models are Unsupervised Multitask Learners" (2019).
class Bpe {
 public:
  /// `merges` is the text of a merges.txt: two symbols a line. Throws Error(input_file) with path
  /// and line for what is none.
  Bpe(std::string_view merges, const std::string& path);
  /// The bytes of each id.
  const std::vector<std::string>& symbols() const { return symbols_; }
  std::vector<int32_t> encode(std::string_view text) const;

 private:
  void merge(std::vector<int32_t>& word) const;
  std::vector<std::string> symbols_;
  int32_t byte_ids_[256];
  std::unordered_map<uint64_t, int32_t> merges_;  // pair of ids to the id they become
};

}  // namespace nnm::data
