// nnm import: weights of other programs as a checkpoint of nnm.
#include <algorithm>
#include <filesystem>
#include <memory>

#include "cli/config_file.h"
#include "cli/dry_run.h"
#include "nnm/base/error.h"
#include "nnm/base/file.h"
#include "nnm/base/json.h"
#include "nnm/base/output.h"
#include "nnm/base/text.h"
#include "nnm/run/folder.h"
#include "nnm/run/session.h"
#include "nnm/train/state.h"

namespace nnm::cli {

namespace {

struct Options {
  std::string file, config, output, format;
  lang::LoadOptions overrides;
  bool partial = false, dry_run = false;
};

/// The weights as they are loaded into the model of a config, which goes into the checkpoint.
void put_model(const Options& o, io::Checkpoint& into) {
  run::SessionOptions options;
  options.data = false;
  run::Session session(run::open_source(o.config, {.config = o.overrides}), options);
  session.load_weights(o.file, o.partial);
  train::put_model(*session.model(), into);
  run::put_config(session.config(), into);
}

/// The weights by their names alone: running statistics and counts are buffers by PyTorch's.
void put_tensors(const Options& o, io::Checkpoint& into) {
  std::vector<io::NamedTensor> tensors = io::load_weights(o.file);
  for (io::NamedTensor& t : tensors) {
    const auto called = [&](const char* name) { return t.name.ends_with(name); };
    const bool parameter = is_floating(t.tensor.dtype()) && !called("running_mean") &&
                           !called("running_var") && !called("num_batches_tracked");
    const auto same =
        std::find_if(into.state_dict.begin(), into.state_dict.end(),
                     [&](const io::StateEntry& e) { return e.tensor.impl() == t.tensor.impl(); });
    std::string alias = same == into.state_dict.end() ? "" : same->name;
    into.state_dict.push_back(
        {std::move(t.name), std::move(t.tensor), parameter, parameter, std::move(alias)});
  }
}

int run(Options o) {
  NNM_CHECK(!o.config.empty() || (o.overrides.set.empty() && o.overrides.profiles.empty()), config,
            "--set and --profile change a config: name it with --config");
  NNM_CHECK(!o.partial || !o.config.empty(), config,
            "--partial is about the model of a config: name it with --config");
  o.file = run::checkpoint_of(o.file);
  if (o.output.empty()) o.output = std::filesystem::path(o.file).stem().string() + ".h5";
  refuse_inputs(o.output, {o.file, o.config});
  check_ending(o.output, {".h5", ".hdf5"});
  check_writable(o.output);
  io::Checkpoint c;
  c.kind = "weights";
  c.device = "cpu";
  run::put_program(c);
  o.config.empty() ? put_tensors(o, c) : put_model(o, c);
  if (o.dry_run) {
    print_planned(o.output, o.format);
    return 0;
  }
  const int64_t bytes = io::save_checkpoint(c, o.output);
  if (o.format == "json") {
    Json j;
    j.object().entry("path", o.output).entry("tensors", std::ssize(c.state_dict));
    print_line(j.entry("bytes", bytes).end().text());
    return 0;
  }
  print_line(o.output);
  print_line(fmt::format("{}, {}", counted(std::ssize(c.state_dict), "tensor"),
                         human_bytes(static_cast<uint64_t>(bytes))));
  return 0;
}

}  // namespace

Action import_(App app) {
  auto o = std::make_shared<Options>();
  app.add_option("file", o->file,
                 "weights: .safetensors, a state_dict of torch.save, a run, or HDF5")
      .required();
  app.add_option("--config", o->config,
                 "the config whose model they are of, which goes into the checkpoint");
  app.add_option("-o,--output", o->output,
                 "the checkpoint to write (default: the file's name with .h5, here)")
      .output();
  app.add_flag("--partial", o->partial, "load the weights that fit");
  add_overrides(app, o->overrides);
  app.add_flag("--dry-run", o->dry_run, "read the weights, say what would be written");
  add_format(app, o->format);
  return [o] { return run(*o); };
}

}  // namespace nnm::cli
