// nnm schema: the JSON Schema of configs.
#include <memory>

#include "cli/verb.h"
#include "nnm/base/file.h"
#include "nnm/data/transform.h"
#include "nnm/lang/config.h"

namespace nnm::cli {

Action schema(App app) {
  auto output = std::make_shared<std::string>();
  app.add_option("-o,--output", *output, "write it to this file instead of standard output");
  return [output] {
    const std::string text = lang::json_schema(Registry<data::Transform>::names());
    if (output->empty()) print(text);
    else write_file_atomic(*output, text);
    return 0;
  };
}

}  // namespace nnm::cli
