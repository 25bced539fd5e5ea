// Numbered folders, checkpoints with links to the last and the best.
#include "nnm/run/folder.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <ctime>
#include <filesystem>
#include <optional>

#include "nnm/io/tree.h"
#include "nnm/run/commit.h"
#include "nnm/run/source.h"

namespace nnm::run {

namespace fs = std::filesystem;

namespace {

constexpr const char* kFiles[] = {"config.yaml", "resolved.yaml", "events.jsonl",
                                  "metrics.csv", "status.json",   "traces/train.h5"};

// The step in the name of a checkpoint, step-00000500.h5.
std::optional<int64_t> step_of(const std::string& name) {
  if (!name.starts_with("step-") || !name.ends_with(".h5")) return std::nullopt;
  int64_t step = 0;
  const char* end = name.data() + name.size() - 3;
  const auto read = std::from_chars(name.data() + 5, end, step);
  if (read.ec != std::errc() || read.ptr != end) return std::nullopt;
  return step;
}

std::vector<io::CheckpointFile> checkpoints_in(const std::string& folder) {
  std::vector<io::CheckpointFile> out;
  std::error_code ec;
  for (fs::directory_iterator it(folder, ec), end; !ec && it != end; it.increment(ec))
    if (const auto step = step_of(it->path().filename().string()))
      out.push_back({it->path().string(), *step, {}});
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.step < b.step; });
  return out;
}

bool is_empty(const std::string& folder) {
  std::error_code ec;
  for (fs::directory_iterator it(folder, ec), end; !ec && it != end; it.increment(ec))
    if (it->path().filename() != ".lock") return false;
  return true;
}

bool is_there(const std::string& path) {
  std::error_code ignored;
  return fs::exists(fs::symlink_status(path, ignored));
}

// What a run would write over in a folder that no run has written to; "" where there is nothing.
std::string foreign_file(const std::string& folder) {
  if (is_there(folder + "/.lock") || is_there(folder + "/resolved.yaml")) return "";
  for (const char* name : kFiles)
    if (is_there(folder + "/" + name)) return name;
  const auto checkpoints = checkpoints_in(folder + "/checkpoints");
  return checkpoints.empty() ? "" : checkpoints[0].path.substr(folder.size() + 1);
}

void refuse_filled(const std::string& folder, const FolderOptions& options) {
  if (!options.resume && !options.force && !is_empty(folder))
    throw Error(ErrorKind::config, fmt::format("{} is not empty", folder),
                "--resume goes on with the run in it, --force starts it anew");
  if (const std::string name = foreign_file(folder); !name.empty())
    throw Error(ErrorKind::config,
                fmt::format("{} is no run, and its {} would be written over", folder, name),
                "name another folder");
}

void remove(const std::string& path) {
  std::error_code ec;
  fs::remove(path, ec);
  NNM_CHECK(!ec, output, "cannot remove {}: {}", path, ec.message());
}

// What nnm wrote, and nothing else.
void remove_run(const std::string& path) {
  for (const char* name : kFiles) remove(path + "/" + name);
  for (const io::CheckpointFile& c : checkpoints_in(path + "/checkpoints")) remove(c.path);
  for (const char* link : {"last.h5", "best.h5"}) remove(path + "/checkpoints/" + link);
}

// What a process that was killed left half written, but for a trace, which is copied from.
void remove_parts(const std::string& path) {
  std::error_code ec;
  for (fs::directory_iterator it(path, ec), end; !ec && it != end; it.increment(ec)) {
    const std::string name = it->path().filename().string();
    const auto begins = [&](const char* file) { return name.starts_with(std::string(file) + "."); };
    if (name.ends_with(kPart) && std::any_of(std::begin(kFiles), std::end(kFiles), begins))
      remove(it->path().string());
  }
  for (fs::directory_iterator it(path + "/checkpoints", ec), end; !ec && it != end;
       it.increment(ec)) {
    const std::string name = it->path().filename().string();
    if (name.ends_with(kPart) && name.find(".h5.") != std::string::npos)
      remove(it->path().string());
  }
}

std::string now_utc() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  char text[32];
  std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text;
}

std::string linked(const std::string& folder, const char* link) {
  std::error_code ec;
  const fs::path target = fs::read_symlink(folder + "/" + link, ec);
  return ec ? "" : folder + "/" + target.string();
}

}  // namespace

std::string newest_checkpoint(const std::string& run) {
  const auto all = checkpoints_in(run + "/checkpoints");
  return all.empty() ? "" : all.back().path;
}

std::string RunFolder::preview(const lang::Config& config, const FolderOptions& options) {
  if (!options.path.empty()) {
    refuse_filled(options.path, options);
    return options.path;
  }
  if (options.resume)
    if (std::string run = newest_run(config, false); !run.empty()) return run;
  return runs_folder(config) + "/<NNN>";
}

void put_program(io::Checkpoint& into) {
  into.nnm_version = NNM_VERSION;
  into.git_commit = built_commit();
  into.torch_semantics = "2.13";
  into.created_utc = now_utc();
}

void put_config(const lang::Config& config, io::Checkpoint& into) {
  into.config = config.text();
  into.config_resolved = config.resolved();
  std::error_code ignored;
  const fs::path path = fs::absolute(config.path(), ignored);
  const lang::LoadOptions& options = config.options();
  Values overrides, folders, profiles;
  for (size_t i = 0; i < options.set.size(); ++i) {
    const std::string given = i < options.folders.size() ? options.folders[i] : "";
    overrides.push_back(options.set[i]);
    folders.push_back(given.empty() ? fs::current_path(ignored).string() : given);
  }
  for (const std::string& s : options.profiles) profiles.push_back(s);
  into.provenance.emplace_back("config_path", path.lexically_normal().string());
  into.provenance.emplace_back("profiles", Value::list(std::move(profiles)));
  into.provenance.emplace_back("overrides", Value::list(std::move(overrides)));
  into.provenance.emplace_back("override_folders", Value::list(std::move(folders)));
  for (const SourceRef& f : config.files())
    into.config_files.emplace_back(fs::absolute(f->path, ignored).lexically_normal().string(),
                                   f->text);
}

RunFolder::RunFolder(const lang::Config& config, const FolderOptions& options) {
  path_ = options.path;
  if (path_.empty() && options.resume) path_ = newest_run(config, false);
  if (path_.empty()) {
    const std::string parent = runs_folder(config);
    path_ = make_numbered_folder(parent);
    replace_symlink(fs::path(path_).filename().string(), parent + "/latest");
  }
  // Before anything of a run, even its lock, is there.
  refuse_filled(path_, options);
  make_folders(path_);
  lock_ = options.lock ? options.lock : std::make_shared<FolderLock>(path_);
  remove_parts(path_);
  if (options.force) remove_run(path_);
  refuse_filled(path_, options);
  make_folders(checkpoints());
  const auto since = std::chrono::system_clock::now().time_since_epoch().count();
  run_id_ = fmt::format("{:x}-{:x}", since, ::getpid());
}

std::string RunFolder::last() const { return linked(checkpoints(), "last.h5"); }
std::string RunFolder::best() const { return linked(checkpoints(), "best.h5"); }

void RunFolder::write_config(const lang::Config& config) {
  write_file_atomic(file("config.yaml"), config.text());
  write_file_atomic(file("resolved.yaml"), config.resolved(path_));
}

void RunFolder::prepare(const train::Plan& plan, const lang::Config& config,
                        Provenance provenance) {
  retention_ = plan.keep;
  target_ = plan.best;
  retention_.larger_is_better = target_.larger_is_better;
  origin_ = {};
  put_config(config, origin_);
  provenance_ = std::move(provenance);
  provenance_.entries.insert(provenance_.entries.end(), origin_.provenance.begin(),
                             origin_.provenance.end());
}

void RunFolder::go_on(int64_t step, const std::string& resumed_from) {
  resumed_from_ = resumed_from;
  files_ = checkpoints_in(checkpoints());
  io::LoadOptions light;
  light.state_dict = light.training = false;
  for (io::CheckpointFile& f : files_) {
    if (f.step > step) {
      remove(f.path);
      continue;
    }
    const io::Checkpoint c = io::load_checkpoint(f.path, light);
    const Value* metric = io::find_item(c.best, "metric");
    const Value* score = io::find_item(c.best, "score");
    if (score && score->is(Value::Kind::real) && metric && metric->str() == target_.metric)
      f.score = score->real();
  }
  std::erase_if(files_, [&](const auto& f) { return f.step > step; });
  remove(checkpoints() + "/best.h5");
  if (best_file()) link_best();
  if (!files_.empty())
    replace_symlink(fs::path(files_.back().path).filename().string(), checkpoints() + "/last.h5");
}

const io::CheckpointFile* RunFolder::best_file() const {
  const io::CheckpointFile* best = nullptr;
  for (const io::CheckpointFile& f : files_)
    if (f.score && (!best || target_.better(*f.score, *best->score))) best = &f;
  return best;
}

void RunFolder::link_best() const {
  replace_symlink(fs::path(best_file()->path).filename().string(), checkpoints() + "/best.h5");
}

train::CheckpointEvent RunFolder::save(io::Checkpoint c, std::optional<double> score) {
  const auto begin = std::chrono::steady_clock::now();
  c.config = origin_.config;
  c.config_resolved = origin_.config_resolved;
  c.config_files = origin_.config_files;
  put_program(c);
  c.device = provenance_.device;
  c.hooks = provenance_.hooks;
  c.run_id = run_id_;
  c.parent_run_id = provenance_.parent_run_id;
  c.provenance = provenance_.entries;
  c.data.insert(c.data.end(), provenance_.data.begin(), provenance_.data.end());
  if (score) c.best.emplace_back("score", *score);

  const std::string name = fmt::format("step-{:08}.h5", c.global_step);
  const std::string path = checkpoints() + "/" + name;
  train::CheckpointEvent e;
  e.bytes = io::save_checkpoint(c, path);
  replace_symlink(name, checkpoints() + "/last.h5");
  std::erase_if(files_, [&](const auto& f) { return f.step == c.global_step; });
  files_.push_back({path, c.global_step, score});
  const io::CheckpointFile* best = best_file();
  e.best = score && best == &files_.back();
  if (e.best) link_best();
  const std::vector<std::string> gone =
      io::retire_checkpoints(checkpoints(), files_, retention_, resumed_from_);
  std::erase_if(files_, [&](const auto& f) {
    return std::find(gone.begin(), gone.end(), f.path) != gone.end();
  });
  std::error_code ignored;
  e.path = fs::absolute(path, ignored).lexically_normal().string();
  e.took = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return e;
}

}  // namespace nnm::run
