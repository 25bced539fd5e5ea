// GPT-2's words, bytes and merges.
#include "nnm/data/bpe.h"

#include <algorithm>

#include "nnm/base/error.h"
#include "nnm/base/text.h"
#include "nnm/data/unicode.h"

namespace nnm::data {
namespace {

// A character at the start of s; a byte that is none counts as a symbol.
struct Character {
  uint32_t code = 0;
  size_t length = 0;
};
Character character(std::string_view s) {
  if (s.empty()) return {};
  const auto lead = static_cast<uint8_t>(s[0]);
  const size_t n = lead < 0x80 ? 1 : utf8_length(s.substr(0, 4));
  if (n <= 1) return {lead < 0x80 ? lead : 0xfffdu, 1};
  uint32_t c = lead & (0x7fu >> n);
  for (size_t i = 1; i < n; ++i) c = c << 6 | (static_cast<uint8_t>(s[i]) & 0x3fu);
  return {c, n};
}

bool is_other(uint32_t c) { return !is_letter(c) && !is_number(c) && !is_blank(c); }

// Bytes from the start of s while the characters are of a kind.
template <class F>
size_t run_of(std::string_view s, F kind) {
  size_t n = 0;
  for (Character c = character(s); c.length > 0 && kind(c.code); c = character(s.substr(n))) {
    n += c.length;
  }
  return n;
}

// The length of the first word of s by GPT-2's pattern:
// 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
size_t word_length(std::string_view s) {
  if (s[0] == '\'') {
    for (std::string_view ending : {"s", "t", "re", "ve", "m", "ll", "d"}) {
      if (s.substr(1).starts_with(ending)) return 1 + ending.size();
    }
  }
  const size_t space = s[0] == ' ' ? 1 : 0;
  const std::string_view rest = s.substr(space);
  for (const size_t n :
       {run_of(rest, is_letter), run_of(rest, is_number), run_of(rest, is_other)}) {
    if (n > 0) return space + n;
  }
  // Blanks leave their last one to the word that follows.
  const size_t blanks = run_of(s, is_blank);
  if (blanks == s.size()) return blanks;
  size_t last = blanks - 1;
  while (last > 0 && (static_cast<uint8_t>(s[last]) & 0xc0) == 0x80) --last;
  return last > 0 ? last : blanks;
}

// GPT-2 writes bytes as characters: printable ones as themselves, others from U+0100 on. Calls
// f(byte, code point) in the order of its ids.
template <class F>
void each_byte(F f) {
  auto printable = [](int b) {
    return (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || (b >= 0xae && b <= 0xff);
  };
  for (int b = 0; b < 256; ++b) {
    if (printable(b)) f(b, static_cast<uint32_t>(b));
  }
  uint32_t next = 0x100;
  for (int b = 0; b < 256; ++b) {
    if (!printable(b)) f(b, next++);
  }
}

std::string utf8(uint32_t c) {
  if (c < 0x80) return std::string(1, static_cast<char>(c));
  return {static_cast<char>(0xc0 | c >> 6), static_cast<char>(0x80 | (c & 0x3f))};
}

uint64_t pair_of(int32_t a, int32_t b) {
  return static_cast<uint64_t>(a) << 32 | static_cast<uint32_t>(b);
}

}  // namespace

Bpe::Bpe(std::string_view merges, const std::string& path) {
  std::unordered_map<std::string, int32_t> ids;  // as the file spells symbols
  each_byte([&](int b, uint32_t c) {
    byte_ids_[b] = static_cast<int32_t>(symbols_.size());
    ids.emplace(utf8(c), byte_ids_[b]);
    symbols_.emplace_back(1, static_cast<char>(b));
  });
  int line_number = 0;
  while (!merges.empty()) {
    const size_t newline = merges.find('\n');
    std::string_view line = merges.substr(0, newline);
    merges = newline == merges.npos ? std::string_view() : merges.substr(newline + 1);
    ++line_number;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || (line_number == 1 && line.starts_with("#version"))) continue;
    const size_t space = line.find(' ');
    const std::string a(line.substr(0, space));
    const std::string b(space == line.npos ? "" : line.substr(space + 1));
    const auto left = ids.find(a), right = ids.find(b);
    NNM_CHECK(left != ids.end() && right != ids.end(), input_file,
              "{}:{}: expected two symbols that earlier lines make, got `{}`", path, line_number,
              escape_terminal(line.substr(0, 80)));
    const auto id = static_cast<int32_t>(symbols_.size());
    merges_.emplace(pair_of(left->second, right->second), id);
    symbols_.push_back(symbols_[static_cast<size_t>(left->second)] +
                       symbols_[static_cast<size_t>(right->second)]);
    ids.emplace(a + b, id);
  }
  NNM_CHECK(!merges_.empty(), input_file, "{} holds no merges", path);
  symbols_.emplace_back("<|endoftext|>");
}

// The pair that was listed first goes first, wherever it stands in the word.
void Bpe::merge(std::vector<int32_t>& word) const {
  while (word.size() > 1) {
    int32_t best = -1;
    uint64_t best_pair = 0;
    for (size_t i = 0; i + 1 < word.size(); ++i) {
      const auto found = merges_.find(pair_of(word[i], word[i + 1]));
      if (found == merges_.end() || (best >= 0 && found->second >= best)) continue;
      best = found->second;
      best_pair = found->first;
    }
    if (best < 0) return;
    size_t to = 0;
    for (size_t i = 0; i < word.size(); ++i, ++to) {
      const bool here = i + 1 < word.size() && pair_of(word[i], word[i + 1]) == best_pair;
      word[to] = here ? best : word[i];
      i += here;
    }
    word.resize(to);
  }
}

std::vector<int32_t> Bpe::encode(std::string_view text) const {
  std::unordered_map<std::string_view, std::vector<int32_t>> known;
  std::vector<int32_t> ids;
  while (!text.empty()) {
    const std::string_view word = text.substr(0, word_length(text));
    text.remove_prefix(word.size());
    std::vector<int32_t>& parts = known[word];
    if (parts.empty()) {
      for (char c : word) parts.push_back(byte_ids_[static_cast<uint8_t>(c)]);
      merge(parts);
    }
    ids.insert(ids.end(), parts.begin(), parts.end());
  }
  return ids;
}

}  // namespace nnm::data
