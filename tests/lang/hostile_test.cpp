// Hostile configs: mutations of good ones, garbage and bombs end in an answer, fast, never in a
// crash.
#include <doctest/doctest.h>

#include <ctime>
#include <random>

#include "nnm/lang/config.h"

using namespace nnm;
using namespace nnm::lang;

namespace {

const char* const kGood = R"yaml(nnm: 1
vars: {widths: [784, 512, 256], p: 0.1, twice: "${vars.p * 2}"}
x: &shared {a: 1, b: [x, y]}
define:
  Block:
    args: {d: int, p: float = 0.0, act: module = ReLU}
    require:
      - d > 0, "d=${d} must be positive"
    modules:
      for i, (a, b) in enumerate(pairs([d, d * 2, d])):
        linear_${i}: Linear(a, b)
      if p > 0:
        drop: Dropout(p)
      else:
        drop: Identity()
      mlp:
        Sequential:
          - Linear(d, 4 * d)
          - Linear: {in_features: 4 * d, out_features: d, bias: false}
          - add_module: ["act_${d}", GELU(approximate="tanh")]
    params:
      scale: {shape: "[d]", init: ones}
    init:
      "**.weight": normal(std=0.02 / sqrt(2 * d))
    inputs:
      x: f32[B, d]
    forward:
      - for i in range(2):
          - x = x |> linear_${i} |>
            relu
      - "y, z = (x, [e for e in x if e > 0][-1:None:2])"
      - return out=mlp(x) + drop(x) if training else x, y=y
model: Block(vars.widths[0], p=vars.p)
data:
  train: {images: a.gz, labels: b.gz}
  transform: [scale(1 / 255), normalize(0.1307, 0.3081)]
train:
  max: [10 epochs, 2 h]
  optimizer: AdamW(lr=3e-4)
  groups: {"**.bias, LayerNorm.*": {weight_decay: 0}}
hooks:
  - on: forward
    at: "*"
    output: >-
      output *
      2
tests:
  - |-
    params(model) == 11_689_512
  - '"it''s" == "x"'
x-more: {<<: *shared, c: *shared}
)yaml";

/// Loads, and says whether anything but the config's own errors came out.
void try_load(const std::string& text, const std::vector<std::string>& set = {}) {
  try {
    const Config c = Config::from_text(text, "h.yaml", {set});
    const std::string again = c.resolved();
    CHECK(Config::from_text(again, "r.yaml").resolved() == again);
  } catch (const DiagnosticError& e) {
    CHECK(e.diagnostics.has_errors());
    CHECK_FALSE(e.diagnostics.render().empty());
  }
}

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr double kMostSeconds = 50;  // a sanitizer takes ten times as long
#else
constexpr double kMostSeconds = 5;
#endif

// Of the processor: a busy machine must not fail the test.
double seconds_of(const std::string& text) {
  const std::clock_t begin = std::clock();
  try_load(text);
  return static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
}

std::string repeated(const std::string& s, int n) {
  std::string out;
  for (int i = 0; i < n; ++i) out += s;
  return out;
}

}  // namespace

TEST_CASE("hostile configs: a good config loads") {
  CHECK_NOTHROW(Config::from_text(kGood, "good.yaml"));
}

TEST_CASE("hostile configs: mutations of a good config") {
  const std::string good = kGood;
  std::mt19937 random(1);
  const auto below = [&](size_t n) { return random() % n; };
  const std::string alphabet = "[]{}()\"'`:,-?!&*@>|%#$\\ \n\t.=+<~0aé\x01\xff";
  for (int round = 0; round < 3000; ++round) {
    std::string text = good;
    for (size_t edits = 1 + below(4); edits > 0; --edits) {
      const size_t at = below(text.size()), n = std::min(text.size() - at, 1 + below(30));
      switch (below(5)) {
        case 0: text.erase(at, n); break;
        case 1: text.insert(at, 1, alphabet[below(alphabet.size())]); break;
        case 2: text[at] = alphabet[below(alphabet.size())]; break;
        case 3: text.insert(below(text.size()), text.substr(at, n)); break;
        default: text.resize(at + 1); break;
      }
      if (text.empty()) text = " ";
    }
    CAPTURE(text);
    try_load(text);
  }
}

TEST_CASE("hostile configs: every prefix of a good config") {
  const std::string good = kGood;
  for (size_t n = 0; n < good.size(); n += 3) try_load(good.substr(0, n));
}

TEST_CASE("hostile configs: random overrides") {
  std::mt19937 random(2);
  const std::string alphabet = "vars.widths[0]=train.hooks,{}\"'$: -x1\n\xff";
  for (int round = 0; round < 1000; ++round) {
    std::string set;
    for (size_t n = random() % 30; n > 0; --n) set += alphabet[random() % alphabet.size()];
    try_load(kGood, {set});
    try_load(kGood, {"vars." + set, "train.max=" + set, "hooks[0].output=" + set});
  }
}

TEST_CASE("hostile configs: bombs of every kind end fast") {
  const std::string head = "nnm: 1\nmodel: ReLU()\n";
  std::vector<std::string> bombs = {
      head + "x: " + repeated("[", 200'000),
      head + "x: " + repeated("{a: ", 200'000),
      head + "x: " + repeated("- ", 200'000),
      head + "x: " + repeated("? ", 200'000),
      head + "x: " + repeated("!a ", 200'000),
      head + "x: " + repeated("&a ", 200'000),
      head + "x: " + repeated("\"", 500'000),
      head + "x: " + repeated("'", 500'000),
      head + "x: [" + repeated("f(,", 90'000) + "]",
      head + "x: {" + repeated("f(: ", 60'000) + "}",
      head + "x: |\n" + repeated("  a\n", 200'000),
      head + "x:\n" + repeated("  - a\n", 90'000),
      head + "x:\n" + repeated("  a: 1\n", 90'000),
      head + "vars: {a: \"" + repeated("${", 20'000) + "\"}",
      head + "tests:\n  - " + repeated("(", 60'000),
      head + "tests:\n  - " + repeated("a.", 30'000) + "a",
      head + "tests:\n  - " + repeated("1+", 30'000) + "1",
      head + "tests:\n  - " + repeated("a if b else ", 5'000) + "1",
      head + "vars: {a: \"${2 ** 2 ** 2 ** 2 ** 2 ** 2}\", b: \"${[0] * 10 ** 12}\"}",
      head + "vars: {a: \"${range(10 ** 15)}\", b: \"${'x' * 10 ** 12}\"}",
      repeated("#", 1'000'000),
      repeated("\n", 1'000'000),
      repeated("a", 60'000) + ": 1\n",
      repeated("---\n", 200'000),
      repeated("%YAML 1.2\n", 90'000),
      std::string("nnm: 1\nmodel: \0ReLU()\n", 22)};
  std::string keys = head + "x:\n", chain = head + "vars:\n", joins = head + "x: [";
  for (int i = 0; i < 45'000; ++i) keys += fmt::format("  k{}: 1\n", i);
  for (int i = 0; i < 20'000; ++i) chain += fmt::format("  v{}: ${{vars.v{}}}\n", i, i + 1);
  for (int i = 0; i < 300; ++i) joins += "f(" + repeated("a, ", 300);
  bombs.insert(bombs.end(), {keys, chain + "  v20000: 1\n", joins + "]"});
  for (const std::string& bomb : bombs) {
    CAPTURE(bomb.substr(0, 60));
    CHECK(seconds_of(bomb) < kMostSeconds);
  }
}
