// Models from text, for the tests of building and running.
#pragma once

#include <string>

#include "nnm/base/literal.h"
#include "nnm/lang/build.h"
#include "nnm/lang/model.h"

namespace nnm::testing {

inline Value data_value(const lang::Tree& t) {
  if (t.is_list()) {
    Values out;
    for (const auto& i : t.items) out.push_back(data_value(i));
    return Value::list(std::move(out));
  }
  if (t.is_map()) {
    Items out;
    for (const auto& e : t.entries) out.emplace_back(e.key.text(), data_value(e.value));
    return Value::dict(std::move(out));
  }
  try {
    return parse_literal(t.text());
  } catch (const Error&) {
    return t.text();
  }
}

/// A config's `define:` and `model:`, parsed.
struct ParsedModel {
  explicit ParsedModel(const std::string& text, const std::string& path = "t.yaml") {
    tree = lang::read_yaml(std::make_shared<SourceFile>(path, text));
    if (const lang::Tree* v = tree.find("vars")) vars = data_value(*v);
    Diagnostics d;
    lang::TypeNames types;
    if (const lang::Tree* define = tree.find("define")) {
      for (const auto& e : define->entries) types.push_back(e.key.text());
      for (const auto& e : define->entries)
        classes.push_back(lang::parse_class(e.key, e.value, d, types));
    }
    model = lang::parse_model(*tree.find("model"), d, types);
    d.throw_if_errors();
  }
  lang::Model build(lang::BuildOptions options = {}) const {
    return lang::build_source({classes, model, vars}, options);
  }
  lang::Model meta() const { return build({.device = {DeviceType::meta, 0}}); }

  lang::Tree tree;
  std::vector<lang::ClassDef> classes;
  lang::Layer model;
  Value vars = Value::dict({});
};

/// The rendered diagnostics that f throws, or "no error".
template <class F>
std::string diagnostics_of(const F& f) {
  try {
    f();
  } catch (const DiagnosticError& e) {
    return e.what();
  } catch (const Error& e) {
    return std::string("Error: ") + e.what();
  }
  return "no error";
}

inline int64_t count_parameters(Module& m) {
  int64_t n = 0;
  for (const Tensor& t : m.parameters()) n += t.numel();
  return n;
}

}  // namespace nnm::testing
