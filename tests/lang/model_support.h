// Models from text, for the tests of building and running.
#pragma once

#include <fstream>
#include <sstream>
#include <string>

#include "nnm/lang/config.h"
#include "nnm/lang/model.h"
#include "support/paths.h"

namespace nnm::testing {

/// A config from text.
struct ParsedModel {
  explicit ParsedModel(const std::string& text, const std::string& path = "t.yaml",
                       std::vector<std::string> set = {})
      : config(lang::Config::from_text(text, path, {.set = std::move(set)})) {}
  lang::Model build(lang::BuildOptions options = {}) const {
    return lang::build_model(config, options);
  }
  lang::Model meta() const { return build({.device = {DeviceType::meta, 0}}); }
  lang::ShapeReport check(const lang::InputShapes& known = {}) const {
    return lang::check_shapes(config, meta(), known);
  }
  lang::Config config;
};

/// One of the examples of the language's description.
inline std::string example(const std::string& name) {
  std::ifstream in(source_dir() + "/tests/lang/examples/" + name + ".yaml");
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

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
