// Copies a trace into the one that goes on from it.
#include "nnm/trace/earlier.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "nnm/base/file.h"
#include "nnm/base/log.h"
#include "nnm/io/trace_cube.h"

namespace nnm::tracing {

namespace {

bool exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

void move(const std::string& from, const std::string& to) {
  NNM_CHECK(std::rename(from.c_str(), to.c_str()) == 0, output, "{} cannot be moved to {}", from,
            to);
}

/// A column of whole numbers, empty where there is none.
std::vector<int64_t> integers(const io::H5Reader& file, const std::string& path) {
  const io::H5Node* node = file.find(path);
  return node ? file.tensor(*node).to_vector<int64_t>() : std::vector<int64_t>();
}

std::vector<std::string> texts(const io::H5Reader& file, const std::string& path) {
  const io::H5Node* node = file.find(path);
  return node ? file.texts(*node) : std::vector<std::string>();
}

}  // namespace

/// What is told step by step, and how far it has been copied.
struct EarlierTrace::Rows {
  explicit Rows(const io::TraceReader& r)
      : values(r.file(), "/stats/values"), bins(r.file(), "/stats/histogram"), calls(r.calls()) {
    for (const io::TraceRecords& one : r.records()) records.push_back({&one, 0});
    const io::H5Reader& f = r.file();
    timing_step = integers(f, "/timing/step");
    timing_call = integers(f, "/timing/call");
    timing_start = integers(f, "/timing/start_ns");
    timing_ns = integers(f, "/timing/ns");
    timing_hook = texts(f, "/timing/hook");
    timing_module = texts(f, "/timing/module");
    timings = std::min({timing_step.size(), timing_call.size(), timing_start.size(),
                        timing_ns.size(), timing_hook.size(), timing_module.size()});
    event_step = integers(f, "/events/step");
    event_kind = texts(f, "/events/event");
    event_text = texts(f, "/events/message");
    events = std::min({event_step.size(), event_kind.size(), event_text.size()});
  }
  struct Records {
    const io::TraceRecords* of;
    size_t done;
  };
  io::TraceCube values, bins;
  std::vector<Records> records;
  std::vector<io::TraceReader::Call> calls;
  std::vector<int64_t> timing_step, timing_call, timing_start, timing_ns, event_step;
  std::vector<std::string> timing_hook, timing_module, event_kind, event_text;
  size_t call = 0, timing = 0, timings = 0, event = 0, events = 0;
};

EarlierTrace::EarlierTrace(const std::string& path) {
  if (path.empty()) return;
  const std::string old = path + ".old";
  std::string chosen;
  int64_t reach = -1;
  for (const std::string& name : {old, path + kPart, path}) {
    if (!exists(name)) continue;
    // A process that dies before the first flush leaves a file whose beginning was never written.
    if (name == path + kPart && !io::is_hdf5(name)) continue;
    try {
      auto reader = std::make_unique<io::TraceReader>(name, true);
      const std::vector<io::TraceStep> steps = reader->steps();
      const int64_t last = steps.empty() ? 0 : steps.back().step + 1;
      if (last <= reach) continue;
      reach = last;
      chosen = name;
      reader_ = std::move(reader);
    } catch (const Error& e) {
      const std::string aside = name + ".unreadable";
      move(name, aside);
      log_warning("what was captured before cannot be read ({}); it stays in {}", e.what(), aside);
    }
  }
  if (!reader_) return;
  sites_ = reader_->sites();
  if (chosen == path) return;
  // A writer replaces the unfinished file of this name.
  aside_ = old;
  if (chosen == old) return;
  reader_.reset();
  move(chosen, old);
  reader_ = std::make_unique<io::TraceReader>(old, true);
}

EarlierTrace::~EarlierTrace() = default;

void EarlierTrace::extend(io::TraceHeader& header) const {
  for (const io::TraceStat& s : reader_->stats()) {
    const auto same = [&](const io::TraceStat& have) { return have.name == s.name; };
    if (std::none_of(header.stats.begin(), header.stats.end(), same)) header.stats.push_back(s);
  }
  if (header.bin_edges.empty()) header.bin_edges = reader_->bin_edges();
}

void EarlierTrace::copy(io::TraceWriter& writer, const io::TraceHeader& header, int64_t until) {
  for (const io::TraceSite& s : sites_) writer.add_site(s);
  Rows rows(*reader_);
  const std::vector<io::TraceStep> steps = reader_->steps();
  for (size_t t = 0; t < steps.size(); ++t) {
    if (steps[t].step >= until) continue;
    writer.begin_step(steps[t]);
    copy_statistics(writer, header, rows, t);
    copy_step(writer, rows, steps[t].step);
  }
  writer.flush();
  reader_.reset();
  if (!aside_.empty()) ::unlink(aside_.c_str());
}

void EarlierTrace::copy_statistics(io::TraceWriter& writer, const io::TraceHeader& header,
                                   Rows& rows, size_t entry) const {
  const auto t = static_cast<int64_t>(entry);
  const std::vector<io::TraceStat> names = reader_->stats();
  for (size_t i = 0; i < sites_.size(); ++i) {
    const auto site = static_cast<int64_t>(i);
    const auto values = rows.values.row(t, site), bins = rows.bins.row(t, site);
    if (!values && !bins) continue;
    std::vector<double> out(header.stats.size(), NAN);
    for (size_t k = 0; values && k < std::min(values->size(), names.size()); ++k) {
      const auto at = std::find_if(header.stats.begin(), header.stats.end(),
                                   [&](const io::TraceStat& h) { return h.name == names[k].name; });
      out[static_cast<size_t>(at - header.stats.begin())] = (*values)[k];
    }
    std::vector<uint32_t> histogram;
    if (bins) histogram.assign(bins->begin(), bins->end());
    writer.stats(site, out, histogram);
  }
}

void EarlierTrace::copy_step(io::TraceWriter& writer, Rows& rows, int64_t step) const {
  for (Rows::Records& r : rows.records) {
    for (; r.done < r.of->step.size() && r.of->step[r.done] <= step; ++r.done) {
      if (r.of->step[r.done] < step) continue;
      std::vector<io::TraceArg> args;
      for (const std::string& name : r.of->args)
        args.push_back({name, reader_->tensor(*r.of, name, static_cast<int64_t>(r.done))});
      writer.record(r.of->module, r.of->what, r.of->call[r.done], args);
    }
  }
  for (; rows.call < rows.calls.size() && rows.calls[rows.call].step <= step; ++rows.call) {
    const io::TraceReader::Call& c = rows.calls[rows.call];
    if (c.step == step) writer.call(c.hook, c.module, c.call);
  }
  for (; rows.timing < rows.timings && rows.timing_step[rows.timing] <= step; ++rows.timing) {
    const size_t i = rows.timing;
    if (rows.timing_step[i] == step)
      writer.timing(rows.timing_hook[i], rows.timing_module[i], rows.timing_call[i],
                    rows.timing_start[i], rows.timing_ns[i]);
  }
  for (; rows.event < rows.events && rows.event_step[rows.event] <= step; ++rows.event)
    if (rows.event_step[rows.event] == step)
      writer.event(rows.event_kind[rows.event], rows.event_text[rows.event]);
}

}  // namespace nnm::tracing
