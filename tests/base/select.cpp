// Selectors: globs, types, braces, roots, precedence, errors, suggestions.
#include "nnm/base/select.h"

#include <doctest/doctest.h>

#include "nnm/base/glob.h"
#include "nnm/base/items.h"

using namespace nnm;

namespace {

bool module(const char* selector, const char* path, const char* type = "X") {
  return Selector::parse(selector).matches_module(path, type, "GPT");
}
bool tensor(const char* selector, const char* module_path, const char* name,
            const char* type = "X") {
  return Selector::parse(selector).matches_tensor(module_path, type, name, "GPT");
}

Scope gpt() {
  return Scope({{"", "GPT"},
                {"h", "ModuleList"},
                {"h.0", "Block"},
                {"h.0.attn", "Attention"},
                {"h.0.attn.c_proj", "Linear"},
                {"h.0.ln_1", "LayerNorm"},
                {"h.1", "Block"},
                {"h.1.attn", "Attention"},
                {"h.1.attn.c_proj", "Linear"},
                {"Linear", "Identity"},
                {"lm_head", "Linear"}},
               {{"h.0.attn.c_proj", "weight"},
                {"h.0.attn.c_proj", "bias"},
                {"h.0.ln_1", "weight"},
                {"h.1.attn.c_proj", "weight"},
                {"lm_head", "weight"},
                {"", "scale"}});
}

using Indices = std::vector<size_t>;
Indices modules(const char* s) { return gpt().modules(Selector::parse(s)); }
Indices tensors(const char* s, bool below = false) {
  return gpt().tensors(Selector::parse(s), below);
}
std::string hint(const char* s) { return gpt().no_match(Selector::parse(s)).hint(); }

}  // namespace

TEST_CASE("select: a star is one segment, two stars are any number") {
  CHECK(module("a.*.c", "a.b.c"));
  CHECK_FALSE(module("a.*.c", "a.c"));
  CHECK_FALSE(module("a.*", "a.b.c"));
  CHECK(module("a.**.c", "a.c"));
  CHECK(module("a.**.c", "a.x.c.y.c"));
  CHECK_FALSE(module("a.**.c", "a.x.c.y"));
  CHECK(module("a.**", "a"));
  CHECK(module("**", ""));
  CHECK_FALSE(module("*", ""));
  CHECK(module("linear_*", "linear_12"));
  CHECK(module("*_*_c", "a_b_b_c"));
  CHECK_FALSE(module("linear_*", "x.linear_1"));
  CHECK_FALSE(module("a?", "ab"));
  CHECK(tensor("**.bias", "", "bias"));
  CHECK(tensor("h.*.attn.**", "h.3.attn.c", "weight"));
  CHECK_FALSE(tensor("h", "h", "weight"));
}

TEST_CASE("select: braces and lists") {
  CHECK(module("{a,b}.c", "b.c"));
  CHECK(module("a{1,2}_{x,y}", "a2_x"));
  CHECK(module("a{,b.c}", "ab.c"));
  CHECK(module("a{,b.c}", "a"));
  CHECK(module("{a,{b,c}d}", "cd"));
  CHECK(module("x, {y, z}", "z"));
  CHECK(tensor("{Linear,Conv2d}.weight", "q", "weight", "Conv2d"));
}

TEST_CASE("select: types stand for modules of that type and what is below") {
  CHECK(module("Linear", "a.b", "Linear"));
  CHECK_FALSE(module("Linear", "a.b", "LinearX"));
  CHECK(tensor("Linear.bias", "a.b", "bias", "Linear"));
  CHECK_FALSE(tensor("Linear.bias", "a.b", "weight", "Linear"));
  CHECK(tensor("LayerNorm.*", "", "weight", "LayerNorm"));
  CHECK(module("rn.Block", "a", "rn.Block"));
  CHECK(module("GPT", "", "GPT"));
  CHECK(module("", "", "GPT"));
  CHECK(module("\"\"", ""));
  CHECK_FALSE(module("", "a"));
  // A scope knows the types of the modules on the way.
  CHECK(tensors("Block.**.weight") == Indices{0, 2, 3});
  CHECK(modules("Block.attn") == Indices{3, 7});
  CHECK(tensors("GPT.scale") == Indices{5});
}

TEST_CASE("select: in a scope a path wins over a type of the same name") {
  CHECK(modules("Linear") == Indices{9});
  CHECK(modules("LayerNorm") == Indices{5});
  // `Linear.weight` is no path, so that it is the type's.
  CHECK(tensors("Linear.weight") == Indices{0, 3, 4});
  CHECK(modules("h.*.attn, lm_head") == Indices{3, 7, 10});
  CHECK(modules("lm_head, h.*.attn") == Indices{3, 7, 10});
}

TEST_CASE("select: modules may stand for the tensors below them") {
  CHECK(tensors("h.0").empty());
  CHECK(tensors("h.0", true) == Indices{0, 1, 2});
  CHECK(tensors("Attention", true) == Indices{0, 1, 3});
  CHECK(tensors("", true) == Indices{0, 1, 2, 3, 4, 5});
}

TEST_CASE("select: what cannot be read says where") {
  const auto offset = [](const char* text) {
    try {
      Selector::parse(text);
    } catch (const SelectorError& e) {
      return static_cast<int>(e.offset);
    }
    return -1;
  };
  CHECK(offset("a,,b") == 2);
  CHECK(offset("a, ") == 3);
  CHECK(offset("x, a..b") == 3);
  CHECK(offset(".a") == 0);
  CHECK(offset("a{b") == 1);
  CHECK(offset("ab}") == 2);
  CHECK(offset("a**") == 0);
  CHECK(offset("{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}") == 0);
  CHECK(offset("a.b, {c,d}") == -1);
  std::string braces;
  for (int i = 0; i < 100000; ++i) braces += "{a}";
  CHECK(offset(braces.c_str()) == 3 * 64);
  CHECK_THROWS_WITH_AS(Selector::parse("a{b"), "selector `a{b`: `{` without `}` at column 2",
                       SelectorError);
}

TEST_CASE("select: a selector without a match names the nearest") {
  CHECK(std::string(gpt().no_match(Selector::parse("hh.0")).what()) ==
        "`hh.0` matches nothing in the model");
  CHECK(hint("lm_haed") == "did you mean `lm_head`?");
  CHECK(hint("h.*.atn.c_proj") == "did you mean `h.*.attn.c_proj`?");
  CHECK(hint("**.c_prj.weight") == "did you mean `**.c_proj.weight`?");
  CHECK(hint("LayerNrom.weight") == "did you mean `LayerNorm.weight`?");
  CHECK(hint("LayerNorm.weihgt") == "did you mean `LayerNorm.weight`?");
  CHECK(hint("h.7") == "below `h` there is `0`, `1`");
  CHECK(hint("LayerNorm.gamma") == "below `LayerNorm` there is `weight`");
  CHECK(hint("something_else") == "the model's children are `h`, `Linear`, `lm_head`");
}

TEST_CASE("select: each item of a list must match, whatever its neighbours do") {
  const Scope scope = gpt();
  const auto unmatched = [&](const char* selector) -> UnmatchedItem {
    try {
      require_matches(scope, Selector::parse(selector),
                      [&](const Selector& item) { return !scope.tensors(item, true).empty(); });
    } catch (const UnmatchedItem& e) {
      return e;
    }
    return {"none", "", 0, 0};
  };
  const UnmatchedItem e = unmatched("lm_head,  hh.0 , h.0");
  CHECK(std::string(e.what()) == "`hh.0` matches nothing in the model");
  CHECK(e.hint() == "did you mean `h.0`?");
  CHECK(e.offset == 10);
  CHECK(e.length == 4);
  CHECK(std::string(unmatched("h.0, \"\", h.1").what()) == "none");
  CHECK(std::string(unmatched("").what()) == "none");
  CHECK(std::string(unmatched(" Block ").what()) == "none");
  CHECK(unmatched(" nope").offset == 1);
  // Braces are one item: one of its alternatives is enough.
  CHECK(std::string(unmatched("{lm_head,nope}, h.0").what()) == "none");
  CHECK(std::string(unmatched("h.0, {x,y}.z").what()) == "`{x,y}.z` matches nothing in the model");
}

TEST_CASE("select: many stars do not explode") {
  const std::string text(5000, 'a');
  std::string stars;
  for (int i = 0; i < 50; ++i) stars += "*a";
  CHECK_FALSE(glob_segment(stars + "b", text));
  CHECK(glob_segment(stars, text));
}
