// Trace files: what hooks saw, call by call and step by step, in one HDF5 file.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "nnm/io/checkpoint.h"
#include "nnm/io/table.h"

namespace nnm::io {

constexpr int64_t kTraceVersion = 1;

/// A place where something is captured: one entry of the second axis of /stats/values.
struct TraceSite {
  std::string module;  ///< dotted path, the root by its class name
  std::string what;    ///< input, output, grad_input, grad_output, weight, weight_grad
  std::string arg;     ///< "0", "1", … or a name
  int64_t call = 0;    ///< which call of the module within a step
  std::string hook;
  std::vector<int64_t> shape;
  DType dtype = DType::f32;
};

struct TraceStat {
  std::string name, unit;
};

/// What a trace says about itself, and what it is going to hold.
struct TraceHeader {
  std::string nnm_version, config_sha256, checkpoint_sha256;
  std::string config, hooks;  ///< the exact YAML; the normalised hook list
  std::vector<ModuleRow> modules;
  std::vector<TraceSite> sites;
  std::vector<TraceStat> stats;   ///< may be empty: no /stats then
  std::vector<double> bin_edges;  ///< may be empty: no histograms then
};

struct TraceLimits {
  int64_t max_bytes = int64_t{2} << 30;  ///< of tensors
  int64_t flush_steps = 50;
  double flush_seconds = 5;
};

/// One entry of the step axis.
struct TraceStep {
  int64_t step = 0, epoch = 0, micro = 0, wall_ns = 0;
  std::string mode;  ///< train or eval
};

/// A tensor of a record, by the name of its argument; undefined for None.
struct TraceArg {
  std::string name;
  Tensor tensor;
};

class TraceGroup;
class RecordColumn;

/// Writes OUT.h5.part, and OUT.h5 when closed. One thread. Throws Error(output). A writer that goes
/// without `close` leaves the .part file, readable up to the last flush.
class TraceWriter {
 public:
  TraceWriter(const std::string& path, const TraceHeader& header, const TraceLimits& limits = {});
  ~TraceWriter();
  /// In the order of their numbers.
  const std::vector<TraceSite>& sites() const { return sites_; }
  /// A site found only while running; its statistics of earlier steps are NaN.
  int64_t add_site(const TraceSite& site);
  /// Begins the next entry of the step axis; statistics go there until the next one.
  void begin_step(const TraceStep& step);
  /// The statistics of a site in this step, in the order of the header's, or of these columns of
  /// it alone; and its histogram.
  void stats(int64_t site, std::span<const double> values, std::span<const uint32_t> histogram = {},
             std::optional<std::span<const size_t>> columns = {});
  /// Appends all args of one firing under /tensors/<module>/<what>, as link_name.h calls them.
  /// False (and nothing is written) where the budget does not allow it, or an argument had another
  /// dtype before.
  bool record(const std::string& module, const std::string& what, int64_t call,
              std::span<const TraceArg> args);
  /// Appends to /calls.
  void call(std::string_view hook, std::string_view module, int64_t call);
  /// Appends to /timing, /memory, /flops and /events.
  void timing(std::string_view hook, std::string_view module, int64_t call, int64_t start_ns,
              int64_t ns);
  void memory(int64_t allocated, int64_t peak, int64_t reserved);
  void flops(std::string_view module, int64_t flops);
  void event(std::string_view kind, std::string_view message);

  /// Bytes of tensors written so far.
  int64_t bytes() const { return bytes_; }
  /// Records that were left out.
  int64_t dropped() const { return dropped_; }
  /// Whatever was recorded reaches the file, the entry of the step axis that is being filled, too:
  /// to be called between steps, as statistics that follow are for the next entry.
  void flush();
  /// Finishes the file and gives it its name.
  void close();

 private:
  void header(const TraceHeader& h);
  void tables(const TraceHeader& h);
  int64_t site_count() const { return static_cast<int64_t>(sites_.size()); }
  void write_step();
  void write_cubes();
  void write_rows();
  void flush_if_due();

  std::string path_, part_;
  TraceLimits limits_;
  std::optional<H5Writer> file_;
  enum class Tables : uint8_t { step, site, calls, timing, memory, flops, events };
  std::optional<Table>& table(Tables t) { return tables_[static_cast<size_t>(t)]; }

  std::optional<Table> tables_[7];
  std::map<std::string, std::map<std::string, std::unique_ptr<TraceGroup>>> groups_;
  std::vector<TraceSite> sites_;
  int64_t stats_ = 0, bins_ = 0, bytes_ = 0, dropped_ = 0, unflushed_ = 0, calls_ = 0;
  int64_t now_ = 0;  // the step that was begun last
  std::optional<TraceStep> step_;
  std::vector<double> values_;  // of this step, sites by statistics
  std::vector<uint32_t> histograms_;
  std::vector<double> waiting_values_;  // of steps that are not in the file yet
  std::vector<uint32_t> waiting_histograms_;
  int64_t waiting_ = 0;  // how many they are
  bool over_budget_ = false, mixed_dtypes_ = false;
  std::optional<H5Writer::Stream> value_rows_, histogram_rows_;
  std::chrono::steady_clock::time_point flushed_;
};

/// What was recorded under /tensors/<module>/<what>.
struct TraceRecords {
  std::string module, what;
  std::vector<std::string> args;    ///< sorted
  std::vector<int64_t> step, call;  ///< one each per record
};

/// Reads traces. Throws Error(input_file).
class TraceReader {
 public:
  /// `unfinished` accepts a .part file.
  explicit TraceReader(const std::string& path, bool unfinished = false,
                       const H5Limits& limits = {});
  ~TraceReader();
  TraceReader(TraceReader&&) noexcept;
  TraceReader& operator=(TraceReader&&) noexcept;

  const H5Reader& file() const { return file_; }
  std::string config() const;
  std::string hooks() const;
  std::vector<ModuleRow> modules() const;
  std::vector<TraceStep> steps() const;
  std::vector<TraceSite> sites() const;
  std::vector<TraceStat> stats() const;
  std::vector<double> bin_edges() const;
  /// (T, sites, stats), f64; undefined where there are none.
  Tensor values() const;
  /// (T, sites, bins), i64; undefined where there are none.
  Tensor histograms() const;
  /// In the order in which they were first recorded.
  const std::vector<TraceRecords>& records() const { return records_; }
  /// Tensor `arg` of the i-th record, with its true shape, checked; undefined for None. One thread.
  Tensor tensor(const TraceRecords& records, const std::string& arg, int64_t i) const;
  /// The group of the records, whose datasets are called as link_name.h says.
  const H5Node& group(const TraceRecords& records) const;
  struct Call {
    int64_t seq, step;
    std::string hook, module;
    int64_t call;
  };
  std::vector<Call> calls() const;

 private:
  H5Reader file_;
  std::optional<Manifest> manifest_;
  std::vector<TraceRecords> records_;
  mutable std::map<std::string, std::unique_ptr<RecordColumn>> columns_;  // those that were read
};

}  // namespace nnm::io
