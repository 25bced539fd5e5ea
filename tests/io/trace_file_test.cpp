// Trace files: records, statistics and tables come back, and damage is found.
#include <doctest/doctest.h>

#include <cmath>

#include "nnm/io/compare.h"
#include "nnm/io/link_name.h"
#include "nnm/io/trace_file.h"
#include "nnm/ops/ops.h"
#include "tests/io/temp.h"

using namespace nnm;
using namespace nnm::io;
using namespace nnm::io::testing;

namespace {

TraceHeader header() {
  TraceHeader h;
  h.nnm_version = "0.1.0";
  h.config_sha256 = "aa";
  h.config = "model: Net\n";
  h.hooks = "- {on: forward}\n";
  h.modules = {{"", "Net", "", 8, ""}, {"fc", "Linear", "", 8, ""}};
  h.stats = {{"mean", "1"}, {"nan", "count"}};
  h.bin_edges = {-1, 0, 1};
  h.sites = {{"fc", "output", "0", 0, "forward", {4, 2}, DType::f32},
             {"Net", "output", "0", 0, "forward", {}, DType::f32}};
  return h;
}

TraceArg arg(const std::string& name, const Tensor& t) { return {name, t}; }

void record(TraceWriter& w, const std::string& module, int64_t call, std::vector<TraceArg> args) {
  CHECK(w.record(module, "output", call, args));
}

void write_sample_trace(const std::string& path) {
  TraceWriter w(path, header());
  for (int step = 0; step < 3; ++step) {
    w.begin_step({step * 10, 1, 0, 1000 + step, "train"});
    w.call("forward", "fc", 0);
    record(w, "fc", 0, {arg("0", numbered(DType::f32, {step == 2 ? 3 : 4, 2}))});
    w.stats(0, std::vector<double>{step + 0.5, 0}, std::vector<uint32_t>{1, 4'000'000'000u});
    w.timing("forward", "fc", 0, 5, 7);
    w.memory(1, 2, 3);
  }
  w.flops("fc", 16);
  w.event("warning", "dead relu");
  w.close();
}

}  // namespace

TEST_CASE("trace: everything comes back") {
  TempDir dir;
  write_sample_trace(dir / "t.h5");
  CHECK(dir.names() == std::vector<std::string>{"t.h5"});
  const TraceReader r(dir / "t.h5");
  CHECK(r.config() == "model: Net\n");
  CHECK(r.hooks() == "- {on: forward}\n");
  CHECK(r.modules().size() == 2);
  CHECK(r.modules()[1].type == "Linear");
  const std::vector<TraceStep> steps = r.steps();
  REQUIRE(steps.size() == 3);
  CHECK(steps[2].step == 20);
  CHECK(steps[2].wall_ns == 1002);
  CHECK(steps[2].mode == "train");
  const std::vector<TraceSite> sites = r.sites();
  REQUIRE(sites.size() == 2);
  CHECK(sites[0].module == "fc");
  CHECK(sites[0].shape == std::vector<int64_t>{4, 2});
  CHECK(sites[1].shape.empty());
  CHECK(sites[0].dtype == DType::f32);
  CHECK(r.stats()[1].unit == "count");
  CHECK(r.bin_edges() == std::vector<double>{-1, 0, 1});
  const Tensor values = r.values();
  CHECK(values.shape() == Shape{3, 2, 2});
  const std::vector<double> v = values.to_vector<double>();
  CHECK(v[0] == 0.5);
  CHECK(v[8] == 2.5);
  CHECK(std::isnan(v[2]));
  CHECK(r.histograms().to_vector<int64_t>()[1] == 4'000'000'000);
  REQUIRE(r.calls().size() == 3);
  CHECK(r.calls()[1].seq == 1);
  CHECK(r.calls()[1].step == 10);
  CHECK(r.calls()[1].module == "fc");
  REQUIRE(r.records().size() == 1);
  const TraceRecords& records = r.records()[0];
  CHECK(records.module == "fc");
  CHECK(records.what == "output");
  CHECK(records.step == std::vector<int64_t>{0, 10, 20});
  CHECK(same_bits(r.tensor(records, "0", 0), numbered(DType::f32, {4, 2})));
  CHECK(same_bits(r.tensor(records, "0", 2), numbered(DType::f32, {3, 2})));
  CHECK(verify(dir / "t.h5").ok());
  const H5Reader& f = r.file();
  CHECK(f.at("tensors/fc/output/0").shape == std::vector<int64_t>{3, 4, 2});
  CHECK(f.at("tensors/fc/output/@shape").shape == std::vector<int64_t>{3, 2});
  CHECK(f.at("tensors/fc/output/@crc32c").element.name == "u32");
  CHECK(f.at("stats/histogram").element.name == "u32");
  CHECK(f.texts(f.at("events/message")) == std::vector<std::string>{"dead relu"});
  CHECK(f.at("timing/ns").numel == 3);
  CHECK(f.at("flops/flops").numel == 1);
}

TEST_CASE("trace: arguments that come late, go missing, or grow") {
  TempDir dir;
  const Tensor a = numbered(DType::f32, {2, 2}), b = numbered(DType::i64, {3}),
               wide = numbered(DType::f32, {2, 5});
  const Tensor scalar = numbered(DType::f64, {}), none;
  {
    TraceWriter w(dir / "t.h5", header(), {.flush_steps = 1});
    w.begin_step({0, 0, 0, 0, "eval"});
    record(w, "Net", 0, {arg("1", a), arg("2", none)});
    w.begin_step({1, 0, 0, 0, "eval"});
    record(w, "Net", 0, {arg("1", wide), arg("0", b), arg("z", scalar)});
    w.begin_step({2, 0, 0, 0, "eval"});
    record(w, "Net", 3, {arg("0", b), arg("1", none), arg("z", scalar)});
    w.close();
  }
  const TraceReader r(dir / "t.h5");
  const TraceRecords& records = r.records().at(0);
  CHECK(records.args == std::vector<std::string>{"0", "1", "z"});
  CHECK(records.call == std::vector<int64_t>{0, 0, 3});
  CHECK_FALSE(r.tensor(records, "0", 0).defined());
  CHECK(same_bits(r.tensor(records, "0", 1), b));
  CHECK(same_bits(r.tensor(records, "0", 2), b));
  CHECK(same_bits(r.tensor(records, "1", 0), a));
  CHECK(same_bits(r.tensor(records, "1", 1), wide));
  CHECK_FALSE(r.tensor(records, "1", 2).defined());
  CHECK(same_bits(r.tensor(records, "z", 2), scalar));
  const VerifyReport report = verify(dir / "t.h5");
  for (const VerifyLine& line : report.lines) CHECK_MESSAGE(line.problem == "", line.dataset);
}

TEST_CASE("trace: what one call tells piece by piece is one record") {
  TempDir dir;
  const Tensor h = numbered(DType::f32, {1, 4, 2}), y = numbered(DType::f32, {4, 1, 2});
  {
    TraceWriter w(dir / "t.h5", header(), {.flush_steps = 1});
    for (int step = 0; step < 2; ++step) {
      w.begin_step({step, 0, 0, 1, "train"});
      // As tensor hooks do: the outputs of a call from the last to the first, calls backwards.
      for (int64_t call : {1, 0}) {
        record(w, "lstm", call, {arg("1", h)});
        if (step == 1) w.flush();
        record(w, "lstm", call, {arg("0", y)});
      }
      // The same again, from a hook that sees both at once.
      record(w, "lstm", 0, {arg("0", y), arg("1", h)});
    }
    w.close();
  }
  const TraceReader r(dir / "t.h5");
  const TraceRecords& records = r.records().at(0);
  CHECK(records.step == std::vector<int64_t>{0, 0, 0, 1, 1, 1});
  CHECK(records.call == std::vector<int64_t>{1, 0, 0, 1, 0, 0});
  for (int64_t i = 0; i < 6; ++i) {
    CHECK(same_bits(r.tensor(records, "0", i), y));
    CHECK(same_bits(r.tensor(records, "1", i), h));
  }
  const VerifyReport report = verify(dir / "t.h5");
  for (const VerifyLine& line : report.lines) CHECK_MESSAGE(line.problem == "", line.dataset);
}

TEST_CASE("trace: tensors of several ranks in one dataset") {
  TempDir dir;
  const Tensor flat = numbered(DType::f32, {2, 3}), deep = numbered(DType::f32, {3, 2, 2, 5}),
               scalar = numbered(DType::f32, {}), none;
  {
    TraceWriter w(dir / "t.h5", header(), {.flush_steps = 1});
    for (const Tensor& t : {scalar, flat, none, deep, flat, scalar, none}) {
      w.begin_step({0, 0, 0, 0, "eval"});
      record(w, "Net", 0, {arg("0", t), arg("1", flat)});
    }
    w.close();
  }
  const TraceReader r(dir / "t.h5");
  const TraceRecords& records = r.records().at(0);
  int i = 0;
  for (const Tensor& t : {scalar, flat, none, deep, flat, scalar, none}) {
    CAPTURE(i);
    if (t.defined()) CHECK(same_bits(r.tensor(records, "0", i), t));
    else CHECK_FALSE(r.tensor(records, "0", i).defined());
    CHECK(same_bits(r.tensor(records, "1", i++), flat));
  }
  CHECK(r.file().at("tensors/Net/output/0").shape == std::vector<int64_t>{7, 3, 3, 2, 5});
  const VerifyReport report = verify(dir / "t.h5");
  for (const VerifyLine& line : report.lines) CHECK_MESSAGE(line.problem == "", line.dataset);
}

TEST_CASE("trace: all dtypes, empty tensors, entries of several chunks") {
  TempDir dir;
  const Tensor large = numbered(DType::f32, {3000, 1700});  // 20 MB
  // Cut without a rest, with one, and over two axes.
  const Tensor odd = numbered(DType::f32, {4999, 1000}),
               wide = numbered(DType::f32, {2, 3, 1 << 20});
  {
    TraceWriter w(dir / "t.h5", header());
    for (int i = 0; i < kDTypes; ++i) {
      const auto d = static_cast<DType>(i);
      record(w, info(d).name, 0, {arg("0", numbered(d, {2, 3})), arg("1", numbered(d, {0, 3}))});
    }
    record(w, "large", 0, {arg("0", large)});
    record(w, "large", 1, {arg("0", large)});
    record(w, "odd", 0, {arg("0", odd), arg("1", wide)});
    record(w, "odd", 1, {arg("0", numbered(DType::f32, {3, 1000})), arg("1", wide)});
    w.close();
  }
  const TraceReader r(dir / "t.h5");
  REQUIRE(r.records().size() == kDTypes + 2);
  for (const TraceRecords& records : r.records()) {
    if (records.module == "odd") {
      CHECK(same_bits(r.tensor(records, "0", 0), odd));
      CHECK(same_bits(r.tensor(records, "0", 1), numbered(DType::f32, {3, 1000})));
      for (int i = 0; i < 2; ++i) CHECK(same_bits(r.tensor(records, "1", i), wide));
      continue;
    }
    if (records.module == "large") {
      CHECK(same_bits(r.tensor(records, "0", 1), large));
      continue;
    }
    const Tensor got = r.tensor(records, "0", 0);
    CHECK(info(got.dtype()).name == records.module);
    CHECK(same_bits(got, numbered(got.dtype(), {2, 3})));
    CHECK(r.tensor(records, "1", 0).shape() == Shape{0, 3});
  }
  CHECK(verify(dir / "t.h5").ok());
}

TEST_CASE("trace: sites found on the way") {
  TempDir dir;
  {
    TraceWriter w(dir / "t.h5", header());
    w.begin_step({0, 0, 0, 0, "train"});
    w.stats(1, std::vector<double>{1, 2});
    w.begin_step({1, 0, 0, 0, "train"});
    CHECK(w.add_site({"late", "input", "0", 0, "forward_pre", {1}, DType::f32}) == 2);
    w.stats(2, std::vector<double>{3, 4});
    CHECK(contains(error_of(ErrorKind::internal,
                            [&] {
                              w.stats(3, std::vector<double>{3, 4});
                            }),
                   "site 3"));
    w.close();
  }
  const TraceReader r(dir / "t.h5");
  CHECK(r.sites().at(2).module == "late");
  const std::vector<double> v = r.values().to_vector<double>();
  REQUIRE(v.size() == 12);
  CHECK(v[2] == 1);
  CHECK(std::isnan(v[4]));
  CHECK(v[10] == 3);
  CHECK(r.histograms().shape() == Shape{2, 3, 2});
}

TEST_CASE("trace: the budget, names and ranks") {
  TempDir dir;
  TraceWriter w(dir / "t.h5", header(), {.max_bytes = 40});
  const std::vector<TraceArg> args = {arg("0", numbered(DType::f32, {5}))};
  CHECK(w.record("fc", "output", 0, args));
  CHECK(w.record("fc", "output", 1, args));
  CHECK_FALSE(w.record("fc", "output", 2, args));
  CHECK(w.bytes() == 40);
  CHECK(w.dropped() == 1);
  const std::vector<TraceArg> none = {arg("0", Tensor())};
  CHECK(w.record("fc", "output", 2, none));
  TraceSite endless{.module = "fc", .what = "output", .arg = std::string(257, 'x')};
  CHECK(contains(error_of(ErrorKind::output, [&] { w.add_site(endless); }),
                 "a name of 257 bytes, 256 bytes"));
  const std::vector<TraceArg> other = {arg("0", numbered(DType::f64, {0, 1}))};
  CHECK_FALSE(w.record("fc", "output", 0, other));
  w.close();
  const TraceReader r(dir / "t.h5");
  CHECK(r.file().attribute(r.file().root(), "dropped_records").integer() == 2);
  const auto events = r.file().texts(r.file().at("events/message"));
  REQUIRE(events.size() == 2);
  CHECK(events[0] == "records beyond 40 bytes are left out");
  CHECK(contains(events[1], "fc/output/0: f64 after f32"));
}

TEST_CASE("trace: names that links cannot have come back") {
  for (const char* name :
       {"a/b", "@x", "x@y", "50%", "%2F", ".", "..", "", "%", "a.b", "@", "%%"}) {
    CAPTURE(name);
    CHECK(name_of_link(link_name(name)) == name);
  }
  CHECK(link_name("a/b") == "a%2Fb");
  CHECK(link_name("@x@") == "%40x@");
  CHECK(link_name("..") == "..");
  TempDir dir;
  // In the order of links, `@b` comes before `a`, and `a/` before `a`.
  std::vector<TraceArg> args = {arg("@b", numbered(DType::f32, {2})), arg("a", ones({3})),
                                arg("a/b", ones({1})), arg("", ones({4}))};
  {
    TraceWriter w(dir / "t.h5", header());
    for (int64_t call : {0, 1})
      for (const TraceArg& a : args)
        w.add_site({.module = "m/n", .what = "output", .arg = a.name, .call = call});
    w.begin_step({.step = 0, .mode = "eval"});
    CHECK(w.record("m/n", "output", 0, args));
    args[0].tensor = Tensor();
    CHECK(w.record("m/n", "output", 1, args));
    w.close();
  }
  const TraceReader r(dir / "t.h5");
  REQUIRE(r.records().size() == 1);
  const TraceRecords& records = r.records()[0];
  CHECK(records.module == "m/n");
  CHECK(records.args == std::vector<std::string>{"", "@b", "a", "a/b"});
  CHECK(same_bits(r.tensor(records, "@b", 0), numbered(DType::f32, {2})));
  CHECK_FALSE(r.tensor(records, "@b", 1).defined());
  CHECK(r.tensor(records, "", 1).numel() == 4);
  CHECK(r.tensor(records, "a/b", 1).numel() == 1);
  CHECK(r.file().find("/tensors/m%2Fn/output/%40b") != nullptr);
  CHECK(verify(dir / "t.h5").ok());
  const TraceComparison same = compare_traces(dir / "t.h5", dir / "t.h5", {}, {});
  CHECK(same.equal);
  CHECK(same.tensors == 7);
}

TEST_CASE("trace: what a dead process leaves is readable up to the last flush") {
  TempDir dir;
  {
    TraceWriter w(dir / "t.h5", header(), {.flush_steps = 2});
    for (int step = 0; step < 5; ++step) {
      w.begin_step({step, 0, 0, 0, "train"});
      record(w, "fc", 0, {arg("0", numbered(DType::f32, {4, 2}))});
    }
    std::filesystem::copy_file(dir / "t.h5.part", dir / "dead.h5");
  }
  CHECK(dir.names().size() == 2);
  CHECK(contains(error_of(ErrorKind::input_file, [&] { TraceReader r(dir / "dead.h5"); }),
                 "was not finished"));
  const TraceReader r(dir / "dead.h5", true);
  CHECK(r.steps().size() == 4);
  CHECK(r.config() == "model: Net\n");
  CHECK(same_bits(r.tensor(r.records().at(0), "0", 3), numbered(DType::f32, {4, 2})));
  CHECK_FALSE(verify(dir / "dead.h5").ok());
  TraceWriter again(dir / "t.h5", header());
  again.close();
  CHECK(verify(dir / "t.h5").ok());
}

TEST_CASE("trace: a flush keeps the entry of the step that has just ended") {
  TempDir dir;
  TraceHeader h = header();
  h.sites.resize(1);
  TraceWriter w(dir / "t.h5", h);
  const std::vector<double> values(h.stats.size(), 2.5);
  for (int step = 0; step < 3; ++step) {
    w.begin_step({step, 0, 0, 0, "train"});
    w.stats(0, values);
  }
  w.flush();
  w.event("rule", "found after the flush");
  w.flush();
  std::filesystem::copy_file(dir / "t.h5.part", dir / "dead.h5");
  w.close();
  for (const char* name : {"dead.h5", "t.h5"}) {
    CAPTURE(name);
    const TraceReader r(dir / name, true);
    REQUIRE(r.steps().size() == 3);
    CHECK(r.steps()[2].step == 2);
    const H5Reader& f = r.file();
    CHECK(f.tensor(f.at("/stats/values")).to_vector<double>().back() == 2.5);
    CHECK(f.tensor(f.at("/events/step")).to_vector<int64_t>() == std::vector<int64_t>{2});
  }
}

TEST_CASE("trace: a flipped bit is found or harmless") {
  TempDir dir;
  {
    TraceHeader h = header();
    h.stats.clear();
    h.bin_edges.clear();
    h.sites.resize(1);
    TraceWriter w(dir / "t.h5", h);
    w.begin_step({7, 0, 0, 0, "train"});
    w.call("forward", "fc", 0);
    record(w, "fc", 0, {arg("0", numbered(DType::f32, {4, 2}))});
    record(w, "fc", 1, {arg("0", numbered(DType::f32, {3, 2}))});
    w.close();
  }
  const auto contents = [](const std::string& path) {
    const TraceReader r(path, false, {.probe = false});
    std::string s = r.config() + r.hooks();
    for (const TraceStep& t : r.steps())
      s += fmt::format("{}{}{}{}{}", t.step, t.epoch, t.micro, t.wall_ns, t.mode);
    for (const TraceReader::Call& c : r.calls())
      s += fmt::format("{}{}{}{}{}", c.seq, c.step, c.hook, c.module, c.call);
    for (const TraceSite& t : r.sites())
      s += t.module + t.what + t.arg + t.hook + shape_text(t.shape);
    for (const TraceRecords& t : r.records()) {
      s += t.module + t.what;
      for (size_t i = 0; i < t.step.size(); ++i) {
        const Tensor x = r.tensor(t, "0", static_cast<int64_t>(i));
        s += fmt::format("{}{}{}", t.step[i], t.call[i], x.shape().str());
        s.append(x.data<char>(), x.numel() * item_size(x.dtype()));
      }
    }
    return s;
  };
  const std::string want = contents(dir / "t.h5");
  std::string bytes = slurp(dir / "t.h5");
  for (size_t bit = 0; bit < bytes.size() * 8; bit += 1009) {
    bytes[bit / 8] ^= static_cast<char>(1 << bit % 8);
    spill(dir / "b.h5", bytes);
    bytes[bit / 8] ^= static_cast<char>(1 << bit % 8);
    bool sound = false;
    std::string got;
    const std::string problem = error_of(
        ErrorKind::input_file, [&] { sound = verify(dir / "b.h5", {.probe = false}).ok(); });
    if (problem == "" && sound)
      REQUIRE(error_of(ErrorKind::input_file, [&] { got = contents(dir / "b.h5"); }) == "");
    if (sound)
      REQUIRE_MESSAGE(got == want,
                      fmt::format("bit {} of byte {} is silently wrong", bit % 8, bit / 8));
  }
}
