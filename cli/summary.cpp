// nnm summary: the module tree, then a table of shapes, parameters, operations and memory.
#include <memory>

#include "cli/config_file.h"
#include "cli/escape.h"
#include "nnm/run/summary.h"

namespace nnm::cli {

Action summary(App app) {
  struct Options {
    ConfigFile file;
    std::string format;
    std::vector<std::string> shapes;
  };
  auto o = std::make_shared<Options>();
  o->file.declare(app);
  add_shape(app, o->shapes);
  add_format(app, o->format, {"text", "json", "csv"});
  return [o] {
    const run::Summary s = run::summarise(o->file.open().config, read_shapes(o->shapes));
    if (o->format == "json") print_line(run::to_json(s));
    else if (o->format == "csv") print(run::to_csv(s));
    else print(escape_lines(s.repr) + "\n\n" + run::to_table(s, colour(1)));
    return 0;
  };
}

}  // namespace nnm::cli
