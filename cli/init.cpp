// nnm init: a commented starter config.
#include <sys/stat.h>

#include <memory>

#include "cli/templates.h"
#include "cli/verb.h"
#include "nnm/base/error.h"
#include "nnm/base/file.h"
#include "nnm/base/json.h"
#include "nnm/base/output.h"

namespace nnm::cli {

namespace {

struct InitOptions {
  std::string name = "mlp", output = "nnm.yaml", format;
  bool list = false, dry_run = false;
};

/// What the first line of the comment at its head says, in whole sentences.
std::string_view description(const StarterConfig& t) {
  std::string_view line = t.text.substr(0, t.text.find('\n'));
  if (!line.ends_with('.')) line = line.substr(0, line.rfind(". ") + 1);
  return line.substr(std::min(line.find_first_not_of("# "), line.size()));
}

void list(const std::string& format) {
  if (format == "json") {
    Json j(2);
    j.array();
    for (const StarterConfig& t : starter_configs())
      j.object().entry("name", t.name).entry("doc", description(t)).end();
    return print_line(j.end().text());
  }
  for (const StarterConfig& t : starter_configs())
    print_line(fmt::format("{:8} {}", t.name, description(t)));
}

int run_init(const InitOptions& o) {
  if (o.list) {
    list(o.format);
    return 0;
  }
  const auto& all = starter_configs();
  const auto found = std::find_if(all.begin(), all.end(),
                                  [&](const StarterConfig& t) { return o.name == t.name; });
  struct stat there;
  if (own_descriptor(o.output) < 0 && stat(o.output.c_str(), &there) == 0)
    throw Error(ErrorKind::output, fmt::format("{}: exists, and is never overwritten", o.output),
                "name another file with -o");
  check_writable(o.output);
  if (o.dry_run) {
    print(found->text);
    return 0;
  }
  write_file_atomic(o.output, found->text);
  print_written(o.output, o.format);
  return 0;
}

}  // namespace

Action init(App app) {
  auto o = std::make_shared<InitOptions>();
  std::vector<std::string> names;
  for (const StarterConfig& t : starter_configs()) names.emplace_back(t.name);
  app.add_option("--template", o->name, "which one (default: mlp)").one_of(names);
  app.add_flag("--list", o->list, "say what each template is, and write nothing");
  app.add_option("-o,--output", o->output, "the file to write (default: nnm.yaml)").output();
  app.add_flag("--dry-run", o->dry_run, "print it instead");
  add_format(app, o->format);
  return [o] { return run_init(*o); };
}

}  // namespace nnm::cli
