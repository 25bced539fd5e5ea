// Told apart by content; runs by their place.
#include "nnm/run/source.h"

#include <algorithm>
#include <cctype>
#include <filesystem>

#include "nnm/base/file.h"
#include "nnm/base/log.h"
#include "nnm/io/checkpoint.h"
#include "nnm/io/h5.h"
#include "nnm/io/tree.h"
#include "nnm/lang/describe.h"

namespace nnm::run {

namespace fs = std::filesystem;

namespace {

bool is_folder(const std::string& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}
bool exists(const std::string& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

bool named_hdf5(const std::string& path) {
  return path.ends_with(".h5") || path.ends_with(".hdf5");
}

std::string last_of(const std::string& run) { return run + "/checkpoints/last.h5"; }

// The newest of the runs that have a checkpoint, by when that was written: runs/NAME/001, and
// runs/NAME where a run was put there by --run.
class Newest {
 public:
  void look_into(const fs::path& folder, int levels) {
    std::error_code ec;
    for (fs::directory_iterator it(folder, ec), end; !ec && it != end; it.increment(ec)) {
      std::error_code inner;
      if (it->is_symlink(inner)) continue;
      consider(it->path().string());
      if (levels > 1) look_into(it->path(), levels - 1);
    }
  }
  std::string run;

 private:
  void consider(const std::string& path) {
    std::error_code none;
    const auto time = fs::last_write_time(last_of(path), none);
    if (none || (!run.empty() && time <= when_)) return;
    run = path;
    when_ = time;
  }
  fs::file_time_type when_{};
};

std::string newest_of_all() {
  Newest newest;
  newest.look_into("runs", 2);
  return newest.run;
}

/// The texts of an entry of a checkpoint's provenance, which may have none.
std::vector<std::string> texts_of(const std::string& path, const io::Checkpoint& c,
                                  const char* key) {
  std::vector<std::string> out;
  const auto take = [&](const Value& v) {
    NNM_CHECK(v.is(Value::Kind::string), input_file, "{}: /provenance: its {} is no text", path,
              key);
    out.push_back(v.string());
  };
  const Value* entry = io::find_item(c.provenance, key);
  if (entry && entry->is_sequence())
    for (const Value& v : entry->items()) take(v);
  else if (entry) take(*entry);
  return out;
}

/// What makes a model, but for variables.
lang::Tree model_sections(const lang::Config& config) {
  lang::Tree out = lang::Tree::mapping();
  for (const lang::Tree::Entry& e : config.tree().entries) {
    const std::string& key = e.key.text();
    if (key == "define" || key == "import" || key == "model") out.entries.push_back(e);
  }
  return out;
}

/// Whether a text names the path, and not one that only begins or ends like it.
bool names_path(const std::string& text, const std::string& path) {
  const auto is_part = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
  };
  for (size_t at = text.find(path); at != std::string::npos; at = text.find(path, at + 1)) {
    const size_t end = at + path.size();
    const bool begins = at == 0 || (!is_part(text[at - 1]) && text[at - 1] != '.');
    if (begins && (end == text.size() || !is_part(text[end]))) return true;
  }
  return false;
}

}  // namespace

std::string runs_folder(const lang::Config& config) {
  return "runs/" + fs::path(config.path()).stem().string();
}

std::string newest_run(const lang::Config& config, bool with_checkpoint) {
  const std::string folder = runs_folder(config);
  const auto counts = [&](const std::string& run) {
    return with_checkpoint ? exists(last_of(run)) : is_folder(run);
  };
  std::error_code ec;
  const fs::path latest = fs::read_symlink(folder + "/latest", ec);
  if (!ec && counts((fs::path(folder) / latest).string()))
    return (fs::path(folder) / latest).string();
  std::string newest;
  for (fs::directory_iterator it(folder, ec), end; !ec && it != end; it.increment(ec)) {
    const std::string run = it->path().string();
    if (it->path().filename() != "latest" && counts(run) &&
        (run.size() > newest.size() || (run.size() == newest.size() && run > newest)))
      newest = run;
  }
  return newest;
}

std::string run_of(const std::string& checkpoint) {
  const fs::path folder = fs::path(checkpoint).parent_path();
  if (folder.filename() != "checkpoints") return {};
  const fs::path run = folder.parent_path();
  const std::string path = run.empty() ? "." : run.string();
  return exists(path + "/config.yaml") ? path : "";
}

std::string checkpoint_of(const std::string& path, bool best) {
  if (!is_folder(path)) {
    if (!exists(path))
      throw Error(ErrorKind::input_file, path + ": no such file", path_advice(path));
    return path;
  }
  std::string file = path + (best ? "/checkpoints/best.h5" : "/checkpoints/last.h5");
  if (!exists(file))
    throw Error(ErrorKind::input_file,
                fmt::format("{} holds no {}checkpoint", path, best ? "best " : ""),
                best ? "there is a best one only where something is evaluated while training" : "");
  return file;
}

lang::LoadOptions after(lang::LoadOptions run, const lang::LoadOptions& now) {
  run.folders.resize(run.set.size());
  run.folders.insert(run.folders.end(), now.folders.begin(), now.folders.end());
  run.profiles.insert(run.profiles.end(), now.profiles.begin(), now.profiles.end());
  run.set.insert(run.set.end(), now.set.begin(), now.set.end());
  return run;
}

lang::Config config_of(const std::string& checkpoint, const lang::LoadOptions& options) {
  io::LoadOptions header;
  header.state_dict = header.training = false;
  const io::Checkpoint c = io::load_checkpoint(checkpoint, header);
  if (c.config.empty())
    throw Error(ErrorKind::input_file,
                fmt::format("{} holds weights alone, without a config", checkpoint),
                "name a config, and this by --weights");
  const std::vector<std::string> path = texts_of(checkpoint, c, "config_path");
  lang::LoadOptions run;
  run.set = texts_of(checkpoint, c, "overrides");
  run.profiles = texts_of(checkpoint, c, "profiles");
  run.folders = texts_of(checkpoint, c, "override_folders");
  run.files.emplace();
  for (const auto& [file, text] : c.config_files)
    run.files->push_back(std::make_shared<SourceFile>(file, text));
  return lang::Config::from_text(c.config, path.empty() ? checkpoint : path[0],
                                 after(std::move(run), options));
}

void refuse_other_model(const lang::Config& begun, const lang::Config& now) {
  std::vector<lang::ConfigDifference> rows =
      lang::compare(model_sections(begun), model_sections(now));
  const std::string model = now.find("model") ? lang::write_flow(*now.find("model")) : "";
  for (const auto& [name, value] : now.vars().entries()) {
    const std::string path = "vars." + name;
    const Value* before = begun.vars().find(name);
    if (!names_path(model, path) || !before || *before == value) continue;
    const lang::Tree* tree = now.find(path);
    rows.push_back({path,
                    {path, before->config_text(), ""},
                    {path, value.config_text(), tree ? lang::origin_of(*tree) : ""}});
  }
  if (rows.empty()) return;
  const lang::ConfigDifference& first = rows.front();
  const auto shown = [](const std::string& value) { return value.empty() ? "not there" : value; };
  throw Error(
      ErrorKind::config,
      fmt::format("the model is not the one that the run began with: {} was {} and is {}{}{}",
                  first.path, shown(first.a.value), shown(first.b.value),
                  first.b.origin.empty() ? "" : fmt::format(" ({})", first.b.origin),
                  rows.size() > 1 ? fmt::format(", and {} more", rows.size() - 1) : ""),
      "resume by the run's folder to go on with what it began with; --set changes a value on "
      "purpose");
}

Source open_source(const std::string& file, const SourceOptions& options) {
  std::string path = file;
  if (path.empty() && exists("nnm.yaml")) path = "nnm.yaml";
  if (path.empty()) {
    path = newest_of_all();
    if (path.empty())
      throw Error(ErrorKind::config, "no config was named, and there is no ./nnm.yaml and no run",
                  "name one, or write one with `nnm init`");
    log_note("using the newest run, {}", path);
  }
  // By its content or, where that is damaged or not there, by its name.
  if (!is_folder(path) && !io::is_hdf5(path) && !named_hdf5(path))
    return {lang::Config::load(path, options.config), "", ""};
  Source source;
  source.checkpoint = checkpoint_of(path, options.best);
  source.run = is_folder(path) ? path : run_of(source.checkpoint);
  source.config = config_of(source.checkpoint, options.config);
  return source;
}

std::string newest_of_here(bool best) {
  const Source source = open_source("", {{}, best});
  return resolve_weights(source, {.best = best});
}

std::string resolve_weights(const Source& source, const WeightsOptions& options) {
  if (options.fresh && !options.weights.empty())
    fail(ErrorKind::config, "--fresh and --weights exclude one another");
  if (!options.weights.empty()) return checkpoint_of(options.weights, options.best);
  if (options.fresh) return {};
  if (!source.checkpoint.empty()) return source.checkpoint;
  if (const std::string run = newest_run(source.config); !run.empty()) {
    std::string path = checkpoint_of(run, options.best);
    log_note("weights: {}", path);
    return path;
  }
  if (options.required)
    throw Error(ErrorKind::config,
                fmt::format("there are no weights: {} holds no run of {}",
                            runs_folder(source.config), source.config.path()),
                "train it first, or say --weights FILE or --fresh");
  log_note("weights: fresh ones, since {} holds no run", runs_folder(source.config));
  return {};
}

}  // namespace nnm::run
