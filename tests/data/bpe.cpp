// Byte pair encoding: words, bytes and merges as GPT-2's tokenizer makes them.
#include "nnm/data/bpe.h"

#include <doctest/doctest.h>

#include "nnm/data/unicode.h"
#include "tests/data/support.h"

using namespace nnm;
using namespace nnm::data;
using namespace nnm::data::testing;

namespace {

const char* const kText = "Hello  world, it's 42°C – naïve größe!\n\n  The the then_x";
const char* const kMerges =
    "#version: 0.2\nh e\nt he\nĠ the\n' s\n4 2\nH e\nHe l\nHel l\nHell o\nT he\na Ã\naÃ ¯\n";
// By GPT-2's encoder.py with these merges.
const std::vector<int64_t> kIds{264, 220, 220, 86,  78,  81,  75,  67,  11,  220, 72,  83,
                                259, 220, 260, 126, 108, 34,  220, 158, 222, 241, 220, 77,
                                267, 85,  68,  220, 70,  81,  127, 114, 127, 253, 68,  0,
                                198, 198, 220, 220, 265, 258, 258, 77,  62,  87};

}  // namespace

TEST_CASE("bpe: ids of GPT-2's encoder") {
  const Bpe bpe(kMerges, "merges.txt");
  CHECK(bpe.symbols().size() == 256 + 12 + 1);
  const std::vector<int32_t> ids = bpe.encode(kText);
  CHECK(std::vector<int64_t>(ids.begin(), ids.end()) == kIds);
  // Any bytes come back, whether they are text or not.
  std::string all;
  for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
  std::string back;
  for (int32_t id : bpe.encode(all)) back += bpe.symbols()[static_cast<size_t>(id)];
  CHECK(back == all);
  CHECK(bpe.encode("").empty());
}

TEST_CASE("bpe: lists of merges with faults") {
  auto error = [](const char* merges) {
    return error_of(ErrorKind::input_file, [&] { Bpe bpe(merges, "m.txt"); });
  };
  CHECK(contains(error("h e\nhe\n"), "m.txt:2: expected two symbols"));
  CHECK(contains(error("h e\nhe llo\n"), "got `he llo`"));
  CHECK(contains(error("#version: 0.2\n"), "holds no merges"));
}

TEST_CASE("bpe: as the tokenizer of a text") {
  TempDir dir;
  spill(dir / "t.txt", kText);
  spill(dir / "merges.txt", kMerges);
  SplitConfig s;
  s.name = "train";
  s.form = SplitConfig::Form::text;
  s.path = "t.txt";
  s.folder = dir.path();
  s.tokenizer = "bpe: merges.txt";
  s.context = 45;
  DataConfig c;
  c.splits = {s};
  Data d(c);
  CHECK(d.peek("train").vocab == 269);
  const auto b = d.loader("train", {.training = false})->next();
  CHECK(b->fields[0].to_vector<int64_t>() == std::vector<int64_t>(kIds.begin(), kIds.end() - 1));
  CHECK(d.tokenizer("train").decode(kIds) == kText);
  c.splits[0].tokenizer = "bpe: none.txt";
  Data missing(c);
  CHECK(contains(error_of(ErrorKind::input_file, [&] { missing.peek("train"); }),
                 "cannot open " + (dir / "none.txt")));
  c.splits[0].tokenizer = "words";
  CHECK(
      contains(error_of(ErrorKind::config, [&] { Data unknown(c); }), "unknown tokenizer `words`"));
}

TEST_CASE("bpe: letters, numbers and blanks") {
  for (uint32_t c : {U'a', U'Z', U'ß', U'漢', U'ʰ'}) CHECK(is_letter(c));
  for (uint32_t c : {U'1', U'²', U'Ⅷ', U'٣'}) CHECK(is_number(c));
  for (uint32_t c : {U' ', U'\n', U'\u00a0', U'\u3000'}) CHECK(is_blank(c));
  for (uint32_t c : {U'_', U'°', U'–', U'😀', U'\u200b'}) {
    CHECK(!is_letter(c));
    CHECK(!is_number(c));
    CHECK(!is_blank(c));
  }
}
