// nnm schema: the JSON Schema of configs.
#include <memory>

#include "cli/dry_run.h"
#include "cli/verb.h"
#include "nnm/base/file.h"
#include "nnm/data/transform.h"
#include "nnm/lang/config.h"

namespace nnm::cli {

Action schema(App app) {
  struct Options {
    std::string output;
    bool dry_run = false;
  };
  auto o = std::make_shared<Options>();
  app.add_option("-o,--output", o->output, "write it to this file instead of standard output")
      .output();
  app.add_flag("--dry-run", o->dry_run, "say what would be written");
  return [o] {
    const std::string text = lang::json_schema(Registry<data::Transform>::names());
    if (o->output.empty()) {
      print(text);
      return 0;
    }
    check_writable(o->output);
    if (o->dry_run) print_planned(o->output, "text");
    else write_file_atomic(o->output, text);
    return 0;
  };
}

}  // namespace nnm::cli
