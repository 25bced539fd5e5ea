// The file a verb works on, and the shapes of its inputs.
#include "cli/config_file.h"

#include <charconv>

#include "nnm/base/error.h"

namespace nnm::cli {

void ConfigFile::declare(App app) {
  app.add_option("file", file,
                 "a config, checkpoint or run folder (default: ./nnm.yaml, else the newest run)");
  app.add_flag("--best", best, "of a run, the best checkpoint instead of the last");
  add_overrides(app, config);
}

void add_weights(App app, run::WeightsOptions& weights) {
  app.add_option("--weights", weights.weights, "weights: a checkpoint, HDF5 or .safetensors");
  app.add_flag("--fresh", weights.fresh, "fresh weights, of train.seed");
}

void add_shape(App app, std::vector<std::string>& shapes) {
  app.add_option("--shape", shapes, "the shape of an input: x=2,3,224,224 (repeatable)")
      .repeatable();
}

lang::InputShapes read_shapes(const std::vector<std::string>& shapes) {
  lang::InputShapes out;
  for (const std::string& text : shapes) {
    const size_t equals = text.find('=');
    std::vector<int64_t> dims;
    bool good = equals != std::string::npos && equals > 0;
    for (const char* p = good ? text.data() + equals + 1 : nullptr; good;) {
      int64_t n = 0;
      const char* end = text.data() + text.size();
      const auto [next, error] = std::from_chars(p, end, n);
      good = error == std::errc() && n >= 0 && (next == end || *next == ',');
      if (!good) break;
      dims.push_back(n);
      if (next == end) break;
      p = next + 1;
    }
    if (!good)
      throw Error(ErrorKind::config, fmt::format("cannot read `--shape {}`", text),
                  "write the input's name and its extents: --shape x=2,3,224,224");
    out.emplace_back(text.substr(0, equals), std::move(dims));
  }
  return out;
}

}  // namespace nnm::cli
