// TraceWriter: the file, its tables and cubes, and when they reach the disk.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "nnm/base/file.h"
#include "nnm/base/log.h"
#include "nnm/base/output.h"
#include "nnm/base/text.h"
#include "nnm/io/link_name.h"
#include "nnm/io/trace_group.h"

namespace nnm::io {
namespace {

constexpr size_t kLeastCubeChunk = 8192, kMostCubeChunk = size_t{1} << 20;
constexpr size_t kNameWidth = 256, kHookWidth = 20, kEventWidth = 32, kMessageWidth = 480;

void text_columns(H5Writer& file, const std::string& path, const std::vector<ModuleRow>& modules,
                  std::string ModuleRow::*field) {
  std::vector<std::string> column;
  for (const ModuleRow& m : modules) column.push_back(m.*field);
  file.texts(path, column);
}

size_t module_width(const TraceHeader& h) {
  size_t width = 1;
  for (const ModuleRow& m : h.modules) width = std::max({width, m.name.size(), m.type.size()});
  return width;
}

}  // namespace

TraceWriter::TraceWriter(const std::string& path, const TraceHeader& h, const TraceLimits& limits)
    : path_(replaceable(path)),
      part_(path_ + kPart),
      limits_(limits),
      flushed_(std::chrono::steady_clock::now()) {
  // What an earlier run left unfinished under this name gives way.
  std::remove(part_.c_str());
  file_.emplace(part_, H5Writer::Format::v110);
  header(h);
  tables(h);
  stats_ = static_cast<int64_t>(h.stats.size());
  bins_ = h.bin_edges.empty() ? 0 : static_cast<int64_t>(h.bin_edges.size()) - 1;
  for (const TraceSite& s : h.sites) add_site(s);
}

TraceWriter::~TraceWriter() = default;

void TraceWriter::header(const TraceHeader& h) {
  const std::pair<const char*, Value> fields[] = {{"format", "nnm-trace"},
                                                  {"format_version", kTraceVersion},
                                                  {"nnm_version", h.nnm_version},
                                                  {"complete", 0},
                                                  {"config_sha256", h.config_sha256},
                                                  {"checkpoint_sha256", h.checkpoint_sha256}};
  for (const auto& [name, value] : fields) file_->attribute("/", name, value);
  file_->text("/config", h.config);
  file_->text("/hooks", h.hooks);
  for (const auto& [name, field] : {std::pair{"name", &ModuleRow::name},
                                    {"type", &ModuleRow::type},
                                    {"parent", &ModuleRow::parent},
                                    {"alias_of", &ModuleRow::alias_of}}) {
    text_columns(*file_, std::string("/model/modules/") + name, h.modules, field);
  }
  std::vector<int64_t> parameters;
  for (const ModuleRow& m : h.modules) parameters.push_back(m.parameters);
  const int64_t modules = static_cast<int64_t>(parameters.size());
  file_->dataset("/model/modules/parameters", DType::i64, std::span(&modules, 1),
                 parameters.data());
  if (!h.stats.empty()) {
    std::vector<std::string> names, units;
    for (const TraceStat& s : h.stats) {
      names.push_back(s.name);
      units.push_back(s.unit);
    }
    file_->texts("/index/stat", names);
    file_->texts("/index/unit", units);
  }
  if (!h.bin_edges.empty()) {
    const int64_t edges = static_cast<int64_t>(h.bin_edges.size());
    file_->dataset("/index/bin_edges", DType::f64, std::span(&edges, 1), h.bin_edges.data());
  }
}

void TraceWriter::tables(const TraceHeader& h) {
  const size_t width = module_width(h);
  const auto add = [&](Tables key, const char* path, std::vector<ColumnSpec> columns) {
    table(key).emplace(*file_, path, std::move(columns));
  };
  add(Tables::step, "/index", {{"step"}, {"epoch"}, {"micro"}, {"wall_ns"}, {"mode", 8}});
  add(Tables::site, "/index",
      {{"site", width},
       {"what", 16},
       {"arg", kNameWidth},
       {"call"},
       {"hook", kHookWidth},
       {"shape", 168},
       {"dtype", 8}});
  add(Tables::calls, "/calls",
      {{"seq"}, {"step"}, {"hook", kHookWidth}, {"module", width}, {"call"}});
  add(Tables::timing, "/timing",
      {{"step"}, {"hook", kHookWidth}, {"module", width}, {"call"}, {"start_ns"}, {"ns"}});
  add(Tables::memory, "/memory", {{"step"}, {"allocated"}, {"peak"}, {"reserved"}});
  add(Tables::flops, "/flops", {{"module", width}, {"flops"}});
  add(Tables::events, "/events", {{"step"}, {"event", kEventWidth}, {"message", kMessageWidth}});
}

int64_t TraceWriter::add_site(const TraceSite& s) {
  if (s.arg.size() > kNameWidth || s.arg.find('\0') != std::string::npos)
    throw Error(
        ErrorKind::output,
        fmt::format("{}: an argument of {} has a name of {}, {} and no zero byte are allowed",
                    path_, s.module, counted(static_cast<int64_t>(s.arg.size()), "byte"),
                    counted(static_cast<int64_t>(kNameWidth), "byte")));
  table(Tables::site)
      ->row(s.module, s.what, s.arg, s.call, s.hook, shape_text(s.shape), info(s.dtype).name);
  // What waits is as wide as there were sites.
  write_cubes();
  sites_.push_back(s);
  values_.resize(static_cast<size_t>(site_count() * stats_), NAN);
  histograms_.resize(static_cast<size_t>(site_count() * bins_), 0);
  return site_count() - 1;
}

void TraceWriter::begin_step(const TraceStep& step) {
  write_step();
  step_ = step;
  now_ = step.step;
  std::fill(values_.begin(), values_.end(), NAN);
  std::fill(histograms_.begin(), histograms_.end(), 0);
}

void TraceWriter::write_step() {
  if (!step_) return;
  table(Tables::step)->row(step_->step, step_->epoch, step_->micro, step_->wall_ns, step_->mode);
  waiting_values_.insert(waiting_values_.end(), values_.begin(), values_.end());
  waiting_histograms_.insert(waiting_histograms_.end(), histograms_.begin(), histograms_.end());
  ++waiting_;
  step_.reset();
  ++unflushed_;
  flush_if_due();
}

// The step axis grows by all steps that wait at once, the site axis to all sites known.
void TraceWriter::write_cubes() {
  if (waiting_ == 0) return;
  const auto chunk = [](size_t bytes) {
    return std::clamp(bytes, kLeastCubeChunk, kMostCubeChunk);
  };
  const int64_t value_row[] = {site_count(), stats_}, histogram_row[] = {site_count(), bins_};
  if (stats_ > 0) {
    if (!value_rows_)
      value_rows_ = file_->stream("/stats/values", DType::f64, value_row,
                                  chunk(waiting_values_.size() * sizeof(double)), true, NAN);
    if (value_rows_->row[0] < site_count()) file_->grow(*value_rows_, value_row);
    file_->append(*value_rows_, waiting_values_.data(), waiting_);
  }
  if (bins_ > 0) {
    if (!histogram_rows_)
      histogram_rows_ =
          file_->u32_stream("/stats/histogram", histogram_row,
                            chunk(waiting_histograms_.size() * sizeof(uint32_t)), true);
    if (histogram_rows_->row[0] < site_count()) file_->grow(*histogram_rows_, histogram_row);
    file_->append(*histogram_rows_, waiting_histograms_.data(), waiting_);
  }
  waiting_values_.clear();
  waiting_histograms_.clear();
  waiting_ = 0;
}

void TraceWriter::flush_if_due() {
  const std::chrono::duration<double> since = std::chrono::steady_clock::now() - flushed_;
  if (unflushed_ >= limits_.flush_steps || since.count() >= limits_.flush_seconds) write_rows();
}

void TraceWriter::stats(int64_t site, std::span<const double> values,
                        std::span<const uint32_t> histogram,
                        std::optional<std::span<const size_t>> columns) {
  const size_t count = columns ? columns->size() : static_cast<size_t>(stats_);
  if (site < 0 || site >= site_count() || values.size() != count ||
      (!histogram.empty() && static_cast<int64_t>(histogram.size()) != bins_)) {
    throw Error(ErrorKind::internal,
                fmt::format("statistics of site {} do not fit the trace", site));
  }
  double* const row = values_.data() + site * stats_;
  for (size_t i = 0; i < count; ++i) row[columns ? (*columns)[i] : i] = values[i];
  std::copy(histogram.begin(), histogram.end(), histograms_.begin() + site * bins_);
}

bool TraceWriter::record(const std::string& module, const std::string& what, int64_t call,
                         std::span<const TraceArg> args) {
  int64_t bytes = 0;
  std::vector<TraceArg> links;
  for (const TraceArg& a : args) {
    links.push_back({link_name(a.name), a.tensor});
    if (a.tensor.defined())
      bytes += a.tensor.numel() * static_cast<int64_t>(item_size(a.tensor.dtype()));
  }
  if (bytes > limits_.max_bytes - bytes_) {
    if (!std::exchange(over_budget_, true))
      event("warning", fmt::format("records beyond {} bytes are left out", limits_.max_bytes));
    ++dropped_;
    return false;
  }
  std::unique_ptr<TraceGroup>& group = groups_[module][what];
  if (!group)
    group = std::make_unique<TraceGroup>(*file_, "/tensors/" + link_name(module) + "/" + what);
  if (const std::string why = group->problem(links); !why.empty()) {
    ++dropped_;
    const std::string text = why + ": one dataset holds one dtype, so records are left out";
    if (std::exchange(mixed_dtypes_, true)) return false;
    event("warning", text);
    log_warning("{}", text);
    return false;
  }
  bytes_ += bytes;
  group->append(now_, call, links);
  return true;
}

void TraceWriter::call(std::string_view hook, std::string_view module, int64_t call) {
  table(Tables::calls)->row(calls_++, now_, hook, module, call);
}

void TraceWriter::timing(std::string_view hook, std::string_view module, int64_t call,
                         int64_t start_ns, int64_t ns) {
  table(Tables::timing)->row(now_, hook, module, call, start_ns, ns);
}

void TraceWriter::memory(int64_t allocated, int64_t peak, int64_t reserved) {
  table(Tables::memory)->row(now_, allocated, peak, reserved);
}

void TraceWriter::flops(std::string_view module, int64_t flops) {
  table(Tables::flops)->row(module, flops);
}

void TraceWriter::event(std::string_view kind, std::string_view message) {
  table(Tables::events)->row(now_, kind, message);
}

// What waits for its next part would be missing after a run that died and goes on from here.
void TraceWriter::flush() {
  write_step();
  write_rows();
}

void TraceWriter::write_rows() {
  write_cubes();
  for (std::optional<Table>& t : tables_) t->flush();
  for (const auto& [module, groups] : groups_)
    for (const auto& [what, group] : groups) group->flush();
  file_->flush();
  unflushed_ = 0;
  flushed_ = std::chrono::steady_clock::now();
}

void TraceWriter::close() {
  write_step();
  write_cubes();
  for (std::optional<Table>& t : tables_) t->close();
  for (const auto& [module, groups] : groups_)
    for (const auto& [what, group] : groups) group->close();
  if (value_rows_) file_->close(*value_rows_);
  if (histogram_rows_) file_->close(*histogram_rows_);
  if (dropped_ > 0) file_->attribute("/", "dropped_records", dropped_);
  file_->finish();
  sync_file(part_);
  if (std::rename(part_.c_str(), path_.c_str()) != 0) {
    throw Error(ErrorKind::output, fmt::format("{}: cannot be replaced", path_));
  }
  sync_file(folder_of(path_));
}

}  // namespace nnm::io
