// The examples of all codes, whichever file holds them.
#include "nnm/lang/code_examples.h"

namespace nnm::lang {

namespace {

std::string whole(const std::string& text) {
  return text.empty() || text.starts_with("nnm:") ? text : "nnm: 1\n" + text;
}

}  // namespace

std::string CodeCase::file() const { return whole(config); }
std::string CodeCase::base_file() const { return whole(base); }

const CodeExample* find_example(std::string_view code) {
  for (const auto& part : {detail::text_examples(), detail::name_examples(),
                           detail::value_examples(), detail::setting_examples()}) {
    for (const CodeExample& e : part)
      if (code == e.code) return &e;
  }
  return nullptr;
}

}  // namespace nnm::lang
