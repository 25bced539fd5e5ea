// nnm help: the help of the program, or of a verb.
#include <CLI/CLI.hpp>
#include <memory>

#include "cli/verb.h"
#include "nnm/base/error.h"
#include "nnm/base/signature.h"

namespace nnm::cli {

Action help(App app) {
  auto verb = std::make_shared<std::string>();
  app.add_option("verb", *verb, "the verb to tell of (default: all)");
  return [app, verb] {
    const CLI::App& program = *(*app).get_parent();
    if (verb->empty()) {
      // App::help() would tell of the verb that was found, which is this one.
      print(program.get_formatter()->make_help(&program, program.get_name(),
                                               CLI::AppFormatMode::Normal));
      return 0;
    }
    std::vector<std::string> names;
    for (const CLI::App* v : program.get_subcommands({})) {
      names.push_back(v->get_name());
      if (v->get_name() != *verb) continue;
      print(v->help("nnm"));
      return 0;
    }
    const std::string near = nearest(*verb, names);
    throw Error(
        ErrorKind::config, fmt::format("unknown verb `{}`", *verb),
        near.empty() ? "`nnm help` lists what there is" : fmt::format("did you mean `{}`?", near));
  };
}

}  // namespace nnm::cli
