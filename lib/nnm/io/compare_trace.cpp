// Comparing traces, call by call.
#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <tuple>

#include "nnm/io/compare.h"
#include "nnm/io/link_name.h"
#include "nnm/io/trace_cube.h"
#include "nnm/io/trace_file.h"
#include "nnm/io/trace_record.h"

namespace nnm::io {
namespace {

constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

using CallKey = std::tuple<std::string, std::string, int64_t>;               // hook, module, call
using SiteKey = std::tuple<std::string, std::string, std::string, int64_t>;  // module, what, arg, …

bool of_parameters(const std::string& what) { return what == "weight" || what == "weight_grad"; }

SiteKey key_of(const TraceSite& s) { return {s.module, s.what, s.arg, s.call}; }

/// The records of one /tensors/<module>/<what>, by step and call.
struct Group {
  const H5Node* node = nullptr;
  std::map<std::pair<int64_t, int64_t>, std::vector<int64_t>> rows;
  std::map<std::string, RecordColumn> columns;
};

/// One of two traces.
class Trace {
 public:
  const TraceReader reader;
  const std::vector<TraceSite> sites;
  const std::vector<TraceStat> stats;
  const std::vector<double> edges;
  std::vector<int64_t> steps;  // those with calls in their order, then the others

  explicit Trace(const std::string& path)
      : reader(path),
        sites(reader.sites()),
        stats(reader.stats()),
        edges(reader.bin_edges()),
        values_(reader.file(), "/stats/values"),
        bins_(reader.file(), "/stats/histogram") {
    for (size_t i = 0; i < sites.size(); ++i) numbers_.emplace(key_of(sites[i]), i);
    const std::vector<TraceStep> entries = reader.steps();
    for (size_t i = 0; i < entries.size(); ++i)
      entries_[entries[i].step].push_back(static_cast<int64_t>(i));
    for (TraceReader::Call& c : reader.calls()) {
      if (calls_[c.step].empty()) steps.push_back(c.step);
      calls_[c.step].push_back({std::move(c.hook), std::move(c.module), c.call});
    }
    for (const auto& [step, at] : entries_)
      if (!calls_.contains(step)) steps.push_back(step);
    if (values_.width() != static_cast<int64_t>(stats.size()) && values_.width() != 0)
      reader.file().fail(reader.file().at("/stats/values"), "its statistics have other names");
    for (const TraceRecords& r : reader.records()) {
      Group& g = groups_[{r.module, r.what}];
      g.node = &reader.group(r);
      for (size_t i = 0; i < r.step.size(); ++i)
        g.rows[{r.step[i], r.call[i]}].push_back(static_cast<int64_t>(i));
      for (const std::string& arg : r.args)
        g.columns.try_emplace(arg, reader.file(), *g.node, link_name(arg));
    }
  }

  const std::vector<CallKey>& calls(int64_t step) const {
    static const std::vector<CallKey> none;
    const auto it = calls_.find(step);
    return it == calls_.end() ? none : it->second;
  }
  /// The k-th tensor of a site in a step; none where there is none.
  std::optional<StoredTensor> tensor(const SiteKey& site, int64_t step, size_t k) const {
    const auto& [module, what, arg, call] = site;
    const auto group = groups_.find({module, what});
    if (group == groups_.end()) return std::nullopt;
    const auto rows = group->second.rows.find({step, call});
    const auto column = group->second.columns.find(arg);
    if (rows == group->second.rows.end() || column == group->second.columns.end())
      return std::nullopt;
    for (int64_t row : rows->second) {
      std::optional<StoredTensor> t = column->second.stored(reader.file(), row);
      if (t && k-- == 0) return t;
    }
    return std::nullopt;
  }
  std::optional<std::vector<double>> values(const SiteKey& site, int64_t step, size_t k) {
    return row(values_, site, step, k);
  }
  std::optional<std::vector<double>> bins(const SiteKey& site, int64_t step, size_t k) {
    return row(bins_, site, step, k);
  }
  const TraceSite* site(const SiteKey& key) const {
    const auto it = numbers_.find(key);
    return it == numbers_.end() ? nullptr : &sites[it->second];
  }

 private:
  std::optional<std::vector<double>> row(TraceCube& cube, const SiteKey& site, int64_t step,
                                         size_t k) {
    const auto number = numbers_.find(site);
    const auto at = entries_.find(step);
    if (number == numbers_.end() || at == entries_.end() || k >= at->second.size())
      return std::nullopt;
    return cube.row(at->second[k], static_cast<int64_t>(number->second));
  }

  TraceCube values_, bins_;
  std::map<SiteKey, size_t> numbers_;
  std::map<int64_t, std::vector<int64_t>> entries_;
  std::map<int64_t, std::vector<CallKey>> calls_;
  std::map<std::pair<std::string, std::string>, Group> groups_;
};

/// Numbers with names, of which two traces have their values.
struct NumberList {
  std::vector<std::string> names;
  std::vector<double> a, b;
};

ComparedTensor compare_numbers(const NumberList& n, const Tolerance& tolerance,
                               std::string& worst) {
  const auto view = [](const std::vector<double>& x) {
    return dense_view(DType::f64, x.data(), static_cast<int64_t>(x.size()));
  };
  TensorDifference sums;
  kernels::difference(view(n.a), view(n.b), tolerance, &sums);
  if (sums.worst >= 0) worst = n.names[static_cast<size_t>(sums.worst)];
  return {.equal = sums.beyond == 0, .by = conclude(sums, {sums.numel})};
}

/// What a row is to the call it belongs to.
enum class Role : uint8_t { in, out, neither };
Role role_of(const std::string& hook, const std::string& what) {
  if (what == "input") return Role::in;
  if (what == "output" || what == "grad_input") return Role::out;
  if (what == "grad_output") return hook == "full_backward" ? Role::in : Role::out;
  return Role::neither;
}

/// The relative error of all of a call's tensors of a role together.
double error_of(const std::vector<ComparedRecord>& rows, Role role) {
  double squares = 0, squares_a = 0;
  bool any = false;
  for (const ComparedRecord& r : rows) {
    if (role_of(r.hook, r.what) != role) continue;
    if (!r.by) return kUnknown;
    squares += r.by->squares;
    squares_a += r.by->squares_a;
    any = true;
  }
  if (!any) return kUnknown;
  return squares == 0 ? 0 : std::sqrt(squares) / std::sqrt(squares_a);
}

class Comparer {
 public:
  Comparer(const std::string& a, const std::string& b, const CompareOptions& options,
           const std::function<void(const ComparedCall&)>& each)
      : a_(a), b_(b), options_(options), each_(each) {
    for (const Trace* t : {&a_, &b_})
      for (const TraceSite& s : t->sites) {
        if (!known_.insert(key_of(s)).second) continue;
        all_.push_back({key_of(s), s.hook});
        if (!of_parameters(s.what)) of_call_[{s.hook, s.module, s.call}].push_back(key_of(s));
      }
    // What goes in comes before what comes out.
    for (auto& [call, sites] : of_call_)
      std::stable_partition(sites.begin(), sites.end(),
                            [&hook = std::get<0>(call)](const SiteKey& s) {
                              return role_of(hook, std::get<1>(s)) == Role::in;
                            });
  }

  TraceComparison run() {
    std::vector<int64_t> steps = a_.steps;
    const std::set<int64_t> in_a(steps.begin(), steps.end());
    for (int64_t s : b_.steps)
      if (!in_a.contains(s)) steps.push_back(s);
    for (int64_t s : steps) step(s);
    out_.steps = static_cast<int64_t>(steps.size());
    return std::move(out_);
  }

 private:
  void step(int64_t step) {
    done_.clear();
    inputs_.clear();
    before_.clear();
    for (const auto& [key, side] : merged(step)) one_call(step, key, side);
    // Parameters, and what no call of this step accounts for.
    for (size_t i = 0; i < all_.size();) {
      const auto& [module, what, arg, call] = all_[i].first;
      ComparedCall c{.step = step, .hook = all_[i].second, .module = module, .call = call};
      for (; i < all_.size(); ++i) {
        const auto& [m, w, x, n] = all_[i].first;
        if (m != c.module || n != c.call || all_[i].second != c.hook) break;
        while (record(c, all_[i].first)) continue;
      }
      if (!c.rows.empty()) finish(std::move(c), false);
    }
  }

  /// The calls of both traces, in A's order; those of B alone stand where B has them.
  std::vector<std::pair<CallKey, const char*>> merged(int64_t step) const {
    const std::vector<CallKey>&left = a_.calls(step), &right = b_.calls(step);
    std::map<CallKey, std::vector<size_t>> places;
    for (size_t j = right.size(); j-- > 0;) places[right[j]].push_back(j);
    std::vector<size_t> partner(left.size(), right.size());
    std::vector<char> taken(right.size(), 0);
    for (size_t i = 0; i < left.size(); ++i) {
      const auto it = places.find(left[i]);
      if (it == places.end() || it->second.empty()) continue;
      partner[i] = it->second.back();
      taken[partner[i]] = 1;
      it->second.pop_back();
    }
    std::vector<std::pair<CallKey, const char*>> out;
    size_t next = 0;
    const auto alone = [&](size_t end) {
      for (; next < end; ++next)
        if (!taken[next]) out.emplace_back(right[next], "B");
    };
    for (size_t i = 0; i < left.size(); ++i) {
      const bool both = partner[i] < right.size();
      if (both) alone(partner[i]);
      out.emplace_back(left[i], both ? nullptr : "A");
    }
    alone(right.size());
    return out;
  }

  void one_call(int64_t step, const CallKey& key, const char* side) {
    const auto& [hook, module, call] = key;
    ComparedCall c{.step = step, .hook = hook, .module = module, .call = call};
    if (const auto sites = of_call_.find(key); sites != of_call_.end())
      for (const SiteKey& site : sites->second) record(c, site);
    if (options_.select && c.rows.empty()) return;
    if (side && c.rows.empty()) {
      ComparedRecord row{{.name = module, .equal = false, .note = std::string("only in ") + side}};
      place(row, c, "", "");
      row.both = false;
      c.rows.push_back(std::move(row));
    }
    finish(std::move(c), true);
  }

  static void place(ComparedRecord& row, const ComparedCall& c, std::string what, std::string arg) {
    row.step = c.step;
    row.hook = c.hook;
    row.module = c.module;
    row.call = c.call;
    row.what = std::move(what);
    row.arg = std::move(arg);
  }

  /// Adds the next row of a site in this step; false where neither trace has more of it.
  bool record(ComparedCall& c, const SiteKey& site) {
    const auto& [module, what, arg, call] = site;
    if (options_.select && !options_.select(module + "/" + what + "/" + arg)) return false;
    const size_t k = done_[site];
    const auto x = a_.tensor(site, c.step, k), y = b_.tensor(site, c.step, k);
    ComparedRecord row;
    bool sliced = false;
    if (x && y) {
      static_cast<ComparedTensor&>(row) = compare("", *x, *y, options_.tolerance);
      const TraceSite* whole = a_.site(site);
      sliced = whole && whole->shape != x->shape();
    }
    // Statistics stand for tensors that were not kept, and for what slices leave out.
    if ((!(x && y) || (sliced && row.equal)) &&
        !numbers(site, c.step, k, x.has_value(), y.has_value(), row))
      return false;
    place(row, c, what, arg);
    row.name = module + "/" + what + "/" + arg + (call ? "#" + std::to_string(call) : "");
    ++done_[site];
    ++(row.statistics ? out_.statistics : out_.tensors);
    c.rows.push_back(std::move(row));
    return true;
  }

  /// Compares a site's statistics into its row; false where neither trace has anything of it.
  bool numbers(const SiteKey& site, int64_t step, size_t k, bool x, bool y, ComparedRecord& row) {
    const auto va = a_.values(site, step, k), vb = b_.values(site, step, k);
    const auto ba = a_.bins(site, step, k), bb = b_.bins(site, step, k);
    const bool in_a = x || va || ba, in_b = y || vb || bb;
    if (!in_a && !in_b) return false;
    NumberList n;
    if (va && vb) n = named_values(*va, *vb);
    if (n.names.empty() && ba && bb && a_.edges == b_.edges) n = named_bins(*ba, *bb);
    if (!n.names.empty()) {
      std::string worst;
      const ComparedTensor compared = compare_numbers(n, options_.tolerance, worst);
      if (x && y && compared.equal) return true;
      static_cast<ComparedTensor&>(row) = compared;
      row.statistics = true;
      row.statistic = worst;
    } else if (!(x && y)) {
      row.equal = false;
      row.both = in_a && in_b;
      row.note =
          row.both ? "recorded in different ways" : std::string("only in ") + (in_a ? "A" : "B");
    }
    return true;
  }

  NumberList named_values(const std::vector<double>& a, const std::vector<double>& b) const {
    NumberList n;
    for (size_t i = 0; i < a.size(); ++i)
      for (size_t j = 0; j < b.size(); ++j) {
        if (a_.stats[i].name != b_.stats[j].name) continue;
        n.names.push_back(a_.stats[i].name);
        n.a.push_back(a[i]);
        n.b.push_back(b[j]);
      }
    return n;
  }

  static NumberList named_bins(const std::vector<double>& a, const std::vector<double>& b) {
    NumberList n{.a = a, .b = b};
    for (size_t i = 0; i < a.size(); ++i) n.names.push_back("histogram bin " + std::to_string(i));
    return n;
  }

  /// `fired`: a call, not what is told of parameters after the calls.
  void finish(ComparedCall c, bool fired) {
    const std::pair<std::string, int64_t> place{c.module, c.call};
    c.error_in = error_of(c.rows, Role::in);
    c.error_out = error_of(c.rows, Role::out);
    c.input_recorded = !std::isnan(c.error_in);
    if (c.input_recorded) {
      inputs_[place] = c.error_in;
    } else if (const auto it = inputs_.find(place); it != inputs_.end() && c.hook == "forward") {
      c.error_in = it->second;
      c.input_recorded = true;
    } else if (const auto last = before_.find(c.hook); last != before_.end()) {
      c.error_in = last->second;
    }
    if (!std::isnan(c.error_out)) before_[c.hook] = c.error_out;
    bool real = false;
    for (const ComparedRecord& r : c.rows) {
      c.equal = c.equal && r.equal;
      real = real || (!r.equal && r.both);
    }
    out_.calls += fired;
    if (!c.equal) {
      out_.differing_calls += fired;
      out_.equal = false;
      if (!out_.first || (real && !first_is_real_)) {
        first_is_real_ = real;
        out_.first = c;
      }
    }
    if (each_) each_(c);
  }

  Trace a_, b_;
  const CompareOptions& options_;
  const std::function<void(const ComparedCall&)>& each_;
  std::set<SiteKey> known_;
  std::vector<std::pair<SiteKey, std::string>> all_;  // sites with their hooks, A's order first
  std::map<CallKey, std::vector<SiteKey>> of_call_;
  TraceComparison out_;
  bool first_is_real_ = false;

  // Of the step at hand: rows that each site has had, inputs' errors by module and call, and what
  // the last call of each hook gave.
  std::map<SiteKey, size_t> done_;
  std::map<std::pair<std::string, int64_t>, double> inputs_;
  std::map<std::string, double> before_;
};

}  // namespace

const ComparedRecord* ComparedCall::first() const {
  const ComparedRecord* any = nullptr;
  for (const ComparedRecord& r : rows) {
    if (r.equal) continue;
    if (r.both) return &r;
    if (!any) any = &r;
  }
  return any;
}

TraceComparison compare_traces(const std::string& a, const std::string& b,
                               const CompareOptions& options,
                               const std::function<void(const ComparedCall&)>& each) {
  return Comparer(a, b, options, each).run();
}

}  // namespace nnm::io
