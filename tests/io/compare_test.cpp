// Comparing files: what is said of checkpoints' tensors and of traces' calls.
#include "nnm/io/compare.h"

#include <doctest/doctest.h>

#include <cmath>

#include "nnm/io/checkpoint.h"
#include "nnm/io/trace_file.h"
#include "tests/io/temp.h"

using namespace nnm;
using namespace nnm::io;
using namespace nnm::io::testing;

namespace {

Tensor floats(const Shape& shape, std::vector<float> values) {
  Tensor t = empty(shape, {});
  std::copy(values.begin(), values.end(), t.data<float>());
  return t;
}

std::string checkpoint(const TempDir& dir, const std::string& name,
                       const std::vector<NamedTensor>& tensors, Tensor moment = {}) {
  Checkpoint c;
  for (const NamedTensor& t : tensors) c.state_dict.push_back({t.name, t.tensor});
  if (moment.defined()) {
    c.optimizer.emplace();
    c.optimizer->type = "Adam";
    c.optimizer->state.push_back({"w", {{"exp_avg", moment}}});
  }
  save_checkpoint(c, dir / name);
  return dir / name;
}

// A chain a, b whose outputs are one tensor each, given per step.
struct Recorded {
  std::vector<float> a, b;
};

std::string trace(const TempDir& dir, const std::string& name, const std::vector<Recorded>& steps,
                  bool inputs = false, bool tensors = true) {
  TraceHeader h;
  h.modules = {{"", "Net", "", 0, ""}, {"a", "Linear", "", 0, ""}, {"b", "Linear", "", 0, ""}};
  h.stats = {{"mean", "value"}, {"nan", "count"}};
  for (const char* m : {"a", "b"}) {
    const auto size = static_cast<int64_t>(steps[0].a.size());
    if (inputs) h.sites.push_back({m, "input", "0", 0, "forward", {size}, DType::f32});
    h.sites.push_back({m, "output", "0", 0, "forward", {size}, DType::f32});
  }
  TraceWriter w(dir / name, h);
  for (size_t s = 0; s < steps.size(); ++s) {
    w.begin_step({static_cast<int64_t>(s) * 5, 0, 0, 0, "eval"});
    int64_t site = 0;
    for (const char* m : {"a", "b"}) {
      const std::vector<float>& x = *m == 'a' ? steps[s].a : steps[s].b;
      w.call("forward", m, 0);
      const auto put = [&](const char* what, const std::vector<float>& values) {
        const Tensor t = floats({static_cast<int64_t>(values.size())}, values);
        if (tensors) w.record(m, what, 0, std::vector<TraceArg>{{"0", t}});
        double mean = 0;
        for (float v : values) mean += v / static_cast<double>(values.size());
        w.stats(site++, std::vector<double>{mean, 0});
      };
      if (inputs) put("input", *m == 'a' ? std::vector<float>(x.size(), 1) : steps[s].a);
      put("output", x);
    }
  }
  w.close();
  return dir / name;
}

std::vector<ComparedCall> calls_of(const std::string& a, const std::string& b,
                                   TraceComparison& result, const Tolerance& t = {}) {
  std::vector<ComparedCall> calls;
  result =
      compare_traces(a, b, {.tolerance = t}, [&](const ComparedCall& c) { calls.push_back(c); });
  return calls;
}

}  // namespace

TEST_CASE("compare: a row per tensor, in A's order, then those of B alone") {
  TempDir dir;
  const Tensor one = floats({2, 2}, {1, 2, 3, 4}), other = floats({2, 2}, {1, 2, 3, 8});
  const auto a = checkpoint(dir, "a.h5",
                            {{"w", one},
                             {"same", one},
                             {"gone", one},
                             {"wide", floats({2}, {1, 2})},
                             {"type", numbered(DType::i32, {3})}});
  const auto b = checkpoint(dir, "b.h5",
                            {{"new", one},
                             {"type", numbered(DType::i64, {3})},
                             {"wide", floats({3}, {1, 2, 3})},
                             {"same", one},
                             {"w", other}});
  const auto rows = compare_checkpoints(a, b, {});
  REQUIRE(rows.size() == 6);
  CHECK(rows[0].name == "w");
  CHECK_FALSE(rows[0].equal);
  const Difference& d = rows[0].by.value();
  CHECK(d.max_abs == 4);
  CHECK(d.worst == std::vector<int64_t>{1, 1});
  CHECK(d.changed == 0.25);
  CHECK(d.rel_l2 == doctest::Approx(4 / std::sqrt(30.0)).epsilon(1e-14));
  CHECK(d.cosine == doctest::Approx(46 / std::sqrt(30.0 * 78.0)).epsilon(1e-14));
  CHECK(d.ulp.value() == 1u << 23);
  CHECK(rows[1].equal);
  CHECK(rows[1].by->cosine == 1);
  CHECK(rows[2].note == "only in A");
  CHECK_FALSE(rows[2].equal);
  CHECK(rows[3].note == "shape [2] and [3]");
  CHECK_FALSE(rows[3].by.has_value());
  CHECK(rows[4].note == "dtype i32 and i64");
  CHECK_FALSE(rows[4].equal);
  CHECK(rows[5].name == "new");
  CHECK(rows[5].note == "only in B");
  const auto chosen =
      compare_checkpoints(a, b, {.select = [](const std::string& n) { return n == "same"; }});
  CHECK(chosen.size() == 1);
}

TEST_CASE("compare: the same values in two dtypes are equal only within a tolerance") {
  TempDir dir;
  Tensor half = empty({2}, {.dtype = DType::bf16});
  half.data<uint16_t>()[0] = 0x3f80;
  half.data<uint16_t>()[1] = 0x4000;
  const auto a = checkpoint(dir, "a.h5", {{"w", floats({2}, {1, 2})}});
  const auto b = checkpoint(dir, "b.h5", {{"w", half}});
  const auto strict = compare_checkpoints(a, b, {}),
             wide = compare_checkpoints(a, b, {.tolerance = {.rtol = 1e-6, .exact = false}});
  CHECK_FALSE(strict[0].equal);
  CHECK(strict[0].by->changed == 0);
  CHECK(wide[0].equal);
  CHECK(wide[0].note == "dtype f32 and bf16");
}

TEST_CASE("compare: scalars, empty tensors, zeros, and shared ones") {
  TempDir dir;
  const Tensor zero = floats({3}, {0, 0, 0}), none = floats({0, 4}, {});
  Tensor flags = empty({2}, {.dtype = DType::b8});
  flags.data<uint8_t>()[0] = 1;
  flags.data<uint8_t>()[1] = 0;
  const auto a =
      checkpoint(dir, "a.h5", {{"s", floats({}, {3})}, {"none", none}, {"z", zero}, {"f", flags}});
  const auto b = checkpoint(
      dir, "b.h5",
      {{"s", floats({}, {5})}, {"none", none}, {"z", floats({3}, {0, 1, 0})}, {"f", flags}});
  const auto rows = compare_checkpoints(a, b, {});
  CHECK(rows[0].by->max_abs == 2);
  CHECK(rows[0].by->worst.empty());
  CHECK(rows[1].equal);
  CHECK(rows[1].by->numel == 0);
  CHECK(std::isinf(rows[2].by->rel_l2));
  CHECK(rows[2].by->cosine == 0);
  CHECK(rows[3].equal);
}

TEST_CASE("compare: the optimizer's state where it is asked for") {
  TempDir dir;
  const Tensor w = floats({1}, {1});
  const auto a = checkpoint(dir, "a.h5", {{"w", w}}, floats({1}, {0.5f}));
  const auto b = checkpoint(dir, "b.h5", {{"w", w}}, floats({1}, {0.25f}));
  CHECK(compare_checkpoints(a, b, {}).size() == 1);
  const auto rows = compare_checkpoints(a, b, {.all = true});
  REQUIRE(rows.size() == 2);
  CHECK(rows[1].name == "optimizer/state/w/exp_avg");
  CHECK_FALSE(rows[1].equal);
}

TEST_CASE("compare: any datasets, texts too") {
  TempDir dir;
  for (const char* name : {"a.h5", "b.h5"}) {
    H5Writer w(dir / name);
    w.tensor("/g/x", floats({2}, {1, *name == 'a' ? 2.0f : 2.5f}));
    w.texts("/names", std::vector<std::string>{"p", *name == 'a' ? "q" : "r"});
    w.close();
  }
  const auto rows = compare_files(dir / "a.h5", dir / "b.h5", {});
  REQUIRE(rows.size() == 2);
  CHECK(rows[0].name == "g/x");
  CHECK(rows[0].by->max_abs == 0.5);
  CHECK(rows[1].note == "text: 1 of 2 differ");
  CHECK_FALSE(rows[1].equal);
}

TEST_CASE("compare: the first call that differs, and what it adds") {
  TempDir dir;
  const auto a = trace(dir, "a.h5", {{{1, 2}, {3, 4}}, {{1, 2}, {3, 4}}}, true);
  const auto b = trace(dir, "b.h5", {{{1, 2}, {3, 4}}, {{1, 2.5f}, {3, 5}}}, true);
  TraceComparison c;
  CHECK(calls_of(a, a, c).size() == 4);
  CHECK(c.equal);
  CHECK(c.tensors == 8);
  CHECK(c.statistics == 0);
  CHECK_FALSE(c.first.has_value());
  const auto calls = calls_of(a, b, c);
  CHECK_FALSE(c.equal);
  CHECK(c.differing_calls == 2);
  REQUIRE(c.first.has_value());
  CHECK(c.first->step == 5);
  CHECK(c.first->module == "a");
  CHECK(c.first->first()->what == "output");
  CHECK(c.first->first()->name == "a/output/0");
  const double of_a = 0.5 / std::sqrt(5.0), of_b = 1 / 5.0;
  CHECK(c.first->error_in == 0);
  CHECK(c.first->added() == doctest::Approx(of_a));
  REQUIRE(calls.size() == 4);
  CHECK(calls[3].input_recorded);
  CHECK(calls[3].error_in == doctest::Approx(of_a));
  CHECK(calls[3].added() == doctest::Approx(of_b - of_a));
  // Within a tolerance that lets a's error pass, b is the first.
  calls_of(a, b, c, {.atol = 0.5, .exact = false});
  CHECK(c.first->module == "b");
  calls_of(a, b, c, {.atol = 1, .exact = false});
  CHECK(c.equal);
}

TEST_CASE("compare: without inputs the call before stands for them") {
  TempDir dir;
  const auto a = trace(dir, "a.h5", {{{1, 2}, {3, 4}}}), b = trace(dir, "b.h5", {{{1, 3}, {3, 4}}});
  TraceComparison c;
  const auto calls = calls_of(a, b, c);
  CHECK(c.first->module == "a");
  CHECK(std::isnan(c.first->error_in));
  CHECK(calls[1].equal);
  CHECK_FALSE(calls[1].input_recorded);
  CHECK(calls[1].error_in == doctest::Approx(1 / std::sqrt(5.0)));
  CHECK(calls[1].added() == doctest::Approx(-1 / std::sqrt(5.0)));
}

TEST_CASE("compare: statistics stand for tensors that were not kept") {
  TempDir dir;
  const auto a = trace(dir, "a.h5", {{{1, 2}, {3, 4}}}, false, false);
  const auto b = trace(dir, "b.h5", {{{1, 2}, {3, 5}}}, false, false);
  const auto full = trace(dir, "full.h5", {{{1, 2}, {3, 5}}});
  TraceComparison c;
  for (const std::string& other : {b, full}) {
    calls_of(a, other, c);
    CHECK(c.tensors == 0);
    CHECK(c.statistics == 2);
    REQUIRE(c.first.has_value());
    CHECK(c.first->module == "b");
    CHECK(c.first->first()->statistics);
    CHECK(c.first->first()->statistic == "mean");
    CHECK(c.first->first()->by->max_abs == 0.5);
  }
  calls_of(b, full, c);
  CHECK(c.equal);
}

TEST_CASE("compare: steps that one trace lacks, and what both have comes first") {
  TempDir dir;
  const auto a = trace(dir, "a.h5", {{{1, 2}, {3, 4}}, {{1, 2}, {3, 4}}});
  const auto b = trace(dir, "b.h5", {{{1, 2}, {3, 4}}});
  TraceComparison c;
  const auto calls = calls_of(a, b, c);
  CHECK_FALSE(c.equal);
  CHECK(calls.size() == 4);
  CHECK(c.first->step == 5);
  CHECK(c.first->first()->note == "only in A");
  calls_of(b, a, c);
  CHECK(c.first->first()->note == "only in B");
  const auto wider = trace(dir, "w.h5", {{{1, 2, 3}, {3, 4, 5}}});
  calls_of(b, wider, c);
  CHECK(c.first->first()->note == "shape [2] and [3]");
  // Inputs that one alone recorded stand behind an output that differs.
  const auto inputs = trace(dir, "i.h5", {{{1, 2}, {3, 4}}}, true);
  const auto changed = trace(dir, "c.h5", {{{1, 2}, {3, 5}}});
  calls_of(inputs, changed, c);
  CHECK(c.differing_calls == 2);
  CHECK(c.first->module == "b");
  CHECK(c.first->first()->what == "output");
  calls_of(inputs, b, c);
  CHECK(c.first->module == "a");
  CHECK(c.first->first()->note == "only in A");
}

TEST_CASE("compare: damage is found where it is read") {
  TempDir dir;
  const auto a = trace(dir, "a.h5", {{{1.25f, 2.5f}, {3.75f, 4.125f}}});
  std::string bytes = slurp(a);
  const float values[2] = {3.75f, 4.125f};
  const size_t at = bytes.find(std::string(reinterpret_cast<const char*>(values), 8));
  REQUIRE(at != std::string::npos);
  bytes[at + 1] ^= 4;
  spill(dir / "b.h5", bytes);
  TraceComparison c;
  CHECK(contains(error_of(ErrorKind::input_file, [&] { calls_of(a, dir / "b.h5", c); }),
                 "does not have its checksum"));
}
