// nnm init: a commented starter config.
#include <sys/stat.h>

#include <memory>

#include "cli/templates.h"
#include "cli/verb.h"
#include "nnm/base/error.h"
#include "nnm/base/file.h"

namespace nnm::cli {

namespace {

struct Options {
  std::string name = "mlp", output = "nnm.yaml";
  bool dry_run = false;
};

int run(const Options& o) {
  const StarterConfig* found = nullptr;
  for (const StarterConfig& t : starter_configs())
    if (o.name == t.name) found = &t;
  struct stat there;
  if (stat(o.output.c_str(), &there) == 0)
    throw Error(ErrorKind::output, fmt::format("{}: exists, and is never overwritten", o.output),
                "name another file with -o");
  if (o.dry_run) {
    print(found->text);
    return 0;
  }
  write_file_atomic(o.output, found->text);
  print_line(o.output);
  return 0;
}

}  // namespace

Action init(CLI::App& app) {
  auto o = std::make_shared<Options>();
  std::vector<std::string> names;
  std::string doc = "which one: ";
  for (const StarterConfig& t : starter_configs()) {
    doc += (names.empty() ? "" : ", ") + std::string(t.name);
    names.emplace_back(t.name);
  }
  app.add_option("--template", o->name, doc)->check(CLI::IsMember(names));
  app.add_option("-o,--output", o->output, "the file to write (default: nnm.yaml)");
  app.add_flag("--dry-run", o->dry_run, "print it instead");
  return [o] { return run(*o); };
}

}  // namespace nnm::cli
