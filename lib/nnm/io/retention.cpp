// Which checkpoints of a run stay.
#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <unordered_set>

#include "nnm/base/file.h"
#include "nnm/io/checkpoint.h"

namespace nnm::io {
namespace {

namespace fs = std::filesystem;

std::string resolved(const std::string& path) {
  std::error_code ignored;
  const fs::path p = fs::weakly_canonical(path, ignored);
  return ignored ? path : p.string();
}

// Scores from best to worst, files without one last, newer before older among equals.
void sort_by_score(std::vector<CheckpointFile>& files, bool larger) {
  const double worst = larger ? -HUGE_VAL : HUGE_VAL;
  const auto score = [&](const CheckpointFile& f) {
    return f.score && !std::isnan(*f.score) ? *f.score : worst;
  };
  std::sort(files.begin(), files.end(), [&](const CheckpointFile& a, const CheckpointFile& b) {
    if (score(a) != score(b)) return larger ? score(a) > score(b) : score(a) < score(b);
    return a.step > b.step;
  });
}

}  // namespace

std::vector<std::string> to_delete(std::vector<CheckpointFile> files, const Retention& rule,
                                   const std::string& resumed_from) {
  if (rule.keep == Retention::Keep::all || files.empty()) return {};
  std::unordered_set<std::string> kept;
  if (!resumed_from.empty()) kept.insert(resolved(resumed_from));
  const auto newest = std::max_element(
      files.begin(), files.end(), [](const auto& a, const auto& b) { return a.step < b.step; });
  kept.insert(resolved(newest->path));
  std::vector<CheckpointFile> ranked = files;
  sort_by_score(ranked, rule.larger_is_better);
  if (ranked[0].score && !std::isnan(*ranked[0].score)) kept.insert(resolved(ranked[0].path));
  if (rule.keep == Retention::Keep::newest) {
    std::sort(ranked.begin(), ranked.end(),
              [](const auto& a, const auto& b) { return a.step > b.step; });
  }
  const size_t count = static_cast<size_t>(std::max(rule.count, 1));
  for (size_t i = 0; i < std::min(count, ranked.size()); ++i) kept.insert(resolved(ranked[i].path));
  std::vector<std::string> gone;
  for (const CheckpointFile& f : files) {
    if (!kept.contains(resolved(f.path))) gone.push_back(f.path);
  }
  return gone;
}

std::vector<std::string> retire_checkpoints(const std::string& folder,
                                            std::vector<CheckpointFile> files,
                                            const Retention& rule,
                                            const std::string& resumed_from) {
  std::vector<std::string> gone = to_delete(std::move(files), rule, resumed_from);
  std::error_code problem;
  for (const fs::directory_entry& e : fs::directory_iterator(folder, problem)) {
    const std::string name = e.path().filename().string();
    if (name.ends_with(kPart) && name.find(".h5.") != std::string::npos)
      gone.push_back(e.path().string());
  }
  for (const std::string& path : gone) {
    if (std::remove(path.c_str()) != 0 && errno != ENOENT) {
      throw Error(ErrorKind::output,
                  fmt::format("{}: cannot be deleted: {}", path, std::strerror(errno)));
    }
  }
  return gone;
}

}  // namespace nnm::io
