// nnm inspect: what lies in a checkpoint, a trace or any HDF5 file.
#include <memory>

#include "cli/inspect.h"
#include "cli/verb.h"

namespace nnm::cli {

Action inspect(CLI::App& app) {
  auto o = std::make_shared<InspectOptions>();
  app.add_option("file", o->file, "a checkpoint, trace, run folder or any HDF5 file")->required();
  app.add_option("--select", o->select,
                 "modules and tensors: a selector such as 'conv1.**, Linear'");
  app.add_flag("--config", o->config, "print the config that lies in the file");
  add_format(app, o->format, {"text", "json", "csv"});
  return [o] {
    print(inspect_file(*o));
    return 0;
  };
}

}  // namespace nnm::cli
