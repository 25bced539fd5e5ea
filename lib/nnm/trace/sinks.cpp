// Lists of what would be recorded, and the headers of traces.
#include "nnm/trace/sinks.h"

#include <algorithm>

#include "nnm/io/module_rows.h"

namespace nnm::tracing {

int64_t ListSink::bytes() const {
  int64_t total = 0;
  for (const Row& r : rows_) total += r.bytes;
  return total;
}

int64_t ListSink::site(const io::TraceSite& s) {
  rows_.push_back({s, 0});
  return static_cast<int64_t>(rows_.size()) - 1;
}

void ListSink::tensors(const std::string& module, const std::string& what, int64_t call,
                       std::span<const io::TraceArg> args) {
  for (const io::TraceArg& a : args) {
    if (!a.tensor.defined()) continue;
    // Its site is among the newest.
    const auto row = std::find_if(rows_.rbegin(), rows_.rend(), [&](const Row& r) {
      return r.site.module == module && r.site.what == what && r.site.arg == a.name &&
             r.site.call == call;
    });
    if (row != rows_.rend())
      row->bytes += weight_ * a.tensor.numel() * static_cast<int64_t>(item_size(a.tensor.dtype()));
  }
}

void describe(const CaptureOptions& options, Module& root, io::TraceHeader& header) {
  header.modules = io::module_rows(root);
  for (const std::string& s : options.statistics()) header.stats.push_back({s, unit_of(s)});
  if (!options.histogram()) return;
  for (int i = 0; i <= kHistogramBins; ++i) header.bin_edges.push_back(histogram_edge(i));
}

}  // namespace nnm::tracing
