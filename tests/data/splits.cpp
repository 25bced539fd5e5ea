// Data: splits, fields, texts and synthetic numbers of a config, peeked at and opened.
#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "nnm/io/h5.h"
#include "support/paths.h"
#include "tests/data/support.h"

using namespace nnm;
using namespace nnm::data;
using namespace nnm::data::testing;

namespace {

DataConfig two_files(const TempDir& dir) {
  std::string images, labels;
  for (int i = 0; i < 20; ++i) {
    images += std::string(4, static_cast<char>(i));
    labels += static_cast<char>(i % 10);
  }
  spill(dir / "x.idx", idx({20, 2, 2}, images));
  spill_gz(dir / "y.gz", idx({20}, labels));
  DataConfig c;
  c.splits = {fields_split("train", dir.path(),
                           {{"images", {"x.idx"}, false, {}}, {"labels", {"y.gz"}, false, {}}})};
  return c;
}

std::vector<int64_t> samples(Loader& l) {
  std::vector<int64_t> all;
  while (auto b = l.next()) all.insert(all.end(), b->samples.begin(), b->samples.end());
  return all;
}

SplitConfig text_split(const std::string& name, const std::string& path, int64_t context) {
  SplitConfig s;
  s.name = name;
  s.form = SplitConfig::Form::text;
  s.path = path;
  s.context = context;
  return s;
}

}  // namespace

TEST_CASE("data: peek tells what loaders give") {
  TempDir dir;
  DataConfig c = two_files(dir);
  c.splits.push_back(taken_split("val", 0.25));
  c.transforms = {{"", {{"scale", {{1.0 / 255}, {}}, {}}}, {}}};
  c.batch.all = 4;
  Data d(c);
  const SplitInfo info = d.peek("train");
  REQUIRE(info.fields.size() == 2);
  CHECK(info.samples == 15);
  CHECK(info.fields[0].name == "images");
  CHECK(info.fields[0].dtype == DType::f32);
  CHECK(info.fields[0].shape == Shape{1, 2, 2});
  CHECK(info.fields[1].dtype == DType::i64);
  CHECK(info.fields[1].shape == Shape{});
  CHECK(d.peek("val").samples == 5);
  const auto l = d.loader("train");
  CHECK(l->options().shuffle);
  CHECK(l->batches_per_epoch() == 4);
  const auto b = l->next();
  REQUIRE(b);
  CHECK(b->fields[0].shape() == Shape{4, 1, 2, 2});
  CHECK(b->fields[0].dtype() == DType::f32);
  for (size_t i = 0; i < 4; ++i) {
    CHECK(b->fields[0].data<float>()[4 * i] ==
          static_cast<float>(b->samples[i]) * static_cast<float>(1.0 / 255));
    CHECK(b->fields[1].data<int64_t>()[i] == b->samples[i] % 10);
  }
}

TEST_CASE("data: a split is the first floor(n * share) of a permutation, and leaves the rest") {
  TempDir dir;
  DataConfig c = two_files(dir);
  c.splits.push_back(taken_split("val", 0.29));
  c.splits.push_back(taken_split("test", 3, true));
  Data d(c);
  const auto val = samples(*d.loader("val")), test = samples(*d.loader("test"));
  const auto train = samples(*d.loader("train", {.training = false}));
  CHECK(val.size() == 5);
  CHECK(test.size() == 3);
  CHECK(train.size() == 12);
  const std::vector<int64_t> order = permutation(20, 0, "split");
  CHECK(std::equal(val.begin(), val.end(), order.begin()));
  CHECK(std::is_sorted(train.begin(), train.end()));
  std::set<int64_t> all(val.begin(), val.end());
  all.insert(test.begin(), test.end());
  all.insert(train.begin(), train.end());
  CHECK(all.size() == 20);
  for (const char* s : {"train", "val", "test"}) {
    CHECK(d.peek(s).samples == static_cast<int64_t>(samples(*d.loader(s)).size()));
  }
  c.splits[1].seed = 1;
  Data other(c);
  CHECK(samples(*other.loader("val")) != val);
  CHECK(share_of(100, 0.29) == 29);
  CHECK(share_of(60000, 0.1) == 6000);
  CHECK(share_of(7, 0.5) == 3);
}

TEST_CASE("data: splits of splits") {
  DataConfig c;
  c.splits = {taken_split("val", 0.5, false, "rest"), taken_split("rest", 0.4),
              random_split("train", "f32[100, 2]", "i64[100] < 3")};
  Data d(c);
  CHECK(d.peek("train").samples == 60);
  CHECK(d.peek("rest").samples == 20);
  CHECK(d.peek("val").samples == 20);
  CHECK(d.open("val")->size() == 20);
  CHECK(d.open("rest")->size() == 20);
  CHECK(d.open("train")->size() == 60);
}

TEST_CASE("data: limits, batches and order by split") {
  DataConfig c;
  c.splits = {random_split("train", "f32[100, 2]", "i64[100] < 3"),
              random_split("test", "f32[50, 2]", "i64[50] < 3")};
  c.limit.all = 30;
  c.limit.by_split = {{"test", 7}};
  c.batch.all = 8;
  c.batch.by_split = {{"test", 5}};
  c.drop_last.all = true;
  Data d(c);
  CHECK(d.peek("train").samples == 30);
  CHECK(d.loader("train")->batches_per_epoch() == 3);
  CHECK(d.loader("test")->batches_per_epoch() == 2);
  CHECK(samples(*d.loader("test")) == std::vector<int64_t>{0, 1, 2, 3, 4, 5, 6});
  std::vector<int64_t> train = samples(*d.loader("train", {.batch = 30}));
  std::sort(train.begin(), train.end());
  std::vector<int64_t> first(30);
  std::iota(first.begin(), first.end(), 0);
  CHECK(train == first);
  c.shuffle.all = false;
  Data quiet(c);
  CHECK(samples(*quiet.loader("train", {.batch = 30})) == first);
}

TEST_CASE("data: columns are picked, stacked and named") {
  TempDir dir;
  spill(dir / "d.csv", "a,b,c,label\n1,2.5,3,0\n4,5,6,1\n");
  SplitConfig s;
  s.name = "train";
  s.path = "d.csv";
  s.folder = dir.path();
  s.fields = {{"x", {"a", "b", "c"}, true, {}}, {"y", {"label"}, false, {}}};
  DataConfig c;
  c.splits = {s};
  Data d(c);
  CHECK(d.peek("train").fields[0].shape == Shape{3});
  CHECK(d.peek("train").fields[0].dtype == DType::f32);
  const auto b = d.loader("train", {.training = false, .batch = 2})->next();
  CHECK(b->fields[0].to_vector<double>() == std::vector<double>{1, 2.5, 3, 4, 5, 6});
  CHECK(b->fields[1].to_vector<int64_t>() == std::vector<int64_t>{0, 1});
  // Whole numbers stay so until the model asks for floats.
  c.splits[0].fields[0].sources = {"a", "c"};
  Data whole(c);
  CHECK(whole.peek("train").fields[0].dtype == DType::i64);
  const auto w = whole.loader("train", {.batch = 2, .fields = {{"x", DType::f32}}});
  CHECK(w->fields().size() == 1);
  CHECK(w->next()->fields[0].dtype() == DType::f32);
  c.splits[0].fields = {};
  Data all(c);
  CHECK(all.peek("train").fields.size() == 4);
  c.splits[0].fields = {{"x", {"a", "lable"}, true, {}}};
  Data bad(c);
  CHECK(contains(error_of(ErrorKind::input_file, [&] { bad.peek("train"); }),
                 "has no column `lable`"));
}

TEST_CASE("data: datasets of HDF5 files") {
  TempDir dir;
  {
    io::H5Writer w(dir / "d.h5");
    w.tensor("/g/x", image({6, 2}));
    w.tensor("/g/y", bytes({6}));
    w.tensor("/short", bytes({5}));
    w.close();
  }
  DataConfig c;
  c.splits = {fields_split("train", dir.path(),
                           {{"x", {"d.h5:/g/x"}, false, {}}, {"y", {"d.h5:/g/y"}, false, {}}}),
              fields_split("bad", dir.path(),
                           {{"x", {"d.h5:/g/x"}, false, {}}, {"y", {"d.h5:/short"}, false, {}}})};
  Data d(c);
  CHECK(d.peek("train").samples == 6);
  CHECK(d.open("train")->fields()[1].source == dir / "d.h5:/g/y");
  const char* unequal = "fields of one split must have equal lengths: `x` has 6 samples, `y` has 5";
  CHECK(error_of(ErrorKind::input_file, [&] { d.peek("bad"); }) == unequal);
  CHECK(error_of(ErrorKind::input_file, [&] { d.open("bad"); }) == unequal);
  CHECK(read_dataset(dir / "d.h5:/g/x")->fields()[0].name == "x");
}

TEST_CASE("data: synthetic numbers depend on seed and field alone") {
  DataConfig c;
  c.splits = {random_split("train", "f32[2000, 20]", "i64[2000] < 3")};
  Data d(c), again(c);
  const auto b = d.loader("train", {.training = false, .batch = 2000})->next();
  const auto b2 = again.loader("train", {.training = false, .batch = 2000})->next();
  CHECK(io::testing::same_bits(b->fields[0], b2->fields[0]));
  const auto x = b->fields[0].to_vector<double>();
  const double mean = std::accumulate(x.begin(), x.end(), 0.0) / 40000;
  double var = 0;
  for (double v : x) var += (v - mean) * (v - mean) / 40000;
  // Four standard errors of 40,000 draws.
  CHECK(std::abs(mean) < 0.02);
  CHECK(std::abs(var - 1) < 0.03);
  const auto y = b->fields[1].to_vector<int64_t>();
  CHECK(std::set<int64_t>(y.begin(), y.end()) == std::set<int64_t>{0, 1, 2});
  c.splits[0].seed = 1;
  Data other(c);
  CHECK(!io::testing::same_bits(
      other.loader("train", {.training = false, .batch = 2000})->next()->fields[0], b->fields[0]));
  for (const char* bad : {"f33[2]", "f32", "f32[2", "f32[2] < 3", "i64[2]", "i64[2] < 0", "f32[-1]",
                          "u8[2] < 300", "f32[9999999, 9999999]", "i64[2] < 3 x"}) {
    CAPTURE(bad);
    CHECK(!error_of(ErrorKind::config, [&] { parse_random("x", bad); }).empty());
  }
}

TEST_CASE("data: texts as characters, targets one further on") {
  TempDir dir;
  spill(dir / "t.txt", "hällo hällo hällo wörld\n");
  DataConfig c;
  c.splits = {text_split("train", dir / "t.txt", 4)};
  Data d(c);
  const SplitInfo info = d.peek("train");
  CHECK(info.vocab == 10);
  CHECK(info.samples == 5);
  CHECK(info.fields[0].dtype == DType::i64);
  CHECK(info.fields[1].shape == Shape{4});
  const Tokenizer& t = d.tokenizer("train");
  CHECK(t.symbols().front() == "\n");
  CHECK(t.symbols().back() == "ö");
  const auto l = d.loader("train", {.training = false, .batch = 2});
  const auto b = l->next();
  CHECK(t.decode(b->fields[0].to_vector<int64_t>()) == "hällo hä");
  CHECK(t.decode(b->fields[1].to_vector<int64_t>()) == "ällo häl");
  // In training: numel / context random windows, others in each epoch.
  const auto r = d.loader("train", {.batch = 100});
  const auto one = r->next();
  CHECK(one->fields[0].size(0) == 6);
  r->next();
  const auto two = r->next();
  CHECK(one->samples != two->samples);
  for (const auto* e : {&*one, &*two}) {
    for (int64_t i = 0; i < 6 * 4; ++i) {
      if (i % 4 == 3) continue;
      CHECK(e->fields[1].data<int64_t>()[i] == e->fields[0].data<int64_t>()[i + 1]);
    }
  }
}

TEST_CASE("data: texts share the vocabulary of training, and are cut, not drawn") {
  TempDir dir;
  spill(dir / "t.txt", "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz");
  spill(dir / "v.txt", "zebra");
  spill(dir / "w.txt", "zebra Zoo");
  DataConfig c;
  c.splits = {text_split("test", dir / "v.txt", 4), text_split("train", dir / "t.txt", 4),
              text_split("bad", dir / "w.txt", 4), taken_split("val", 0.25)};
  Data d(c);
  const auto b = d.loader("test")->next();
  CHECK(b->fields[0].to_vector<int64_t>() == std::vector<int64_t>{25, 4, 1, 17});
  CHECK(error_of(ErrorKind::input_file, [&] { d.peek("bad"); }) ==
        dir / "w.txt:1:6: the character ' ' does not occur in the training text");
  CHECK(d.peek("val").samples == 3);
  CHECK(d.loader("val")->next()->samples[0] == 52 - 13);
  CHECK(d.peek("train").samples == 9);
  c.splits = {text_split("train", dir / "v.txt", 5)};
  Data small(c);
  CHECK(contains(error_of(ErrorKind::input_file, [&] { small.peek("train"); }),
                 "too few for a context of 5"));
  spill(dir / "u.txt", "ab\nc\xff");
  c.splits = {text_split("train", dir / "u.txt", 2)};
  Data broken(c);
  CHECK(error_of(ErrorKind::input_file, [&] { broken.peek("train"); }) ==
        dir / "u.txt:2:2: byte 0xff is not UTF-8");
  c.splits[0].tokenizer = "byte";
  Data raw(c);
  CHECK(raw.peek("train").vocab == 256);
}

TEST_CASE("data: errors of the config, all at once, with the nearest name") {
  DataConfig c;
  c.splits = {random_split("train", "f32[10, 2]", "i64[10] < 3"), taken_split("val", 1.5),
              taken_split("test", 0.1, false, "trian"), taken_split("own", 0.1, false, "own")};
  c.batch.by_split = {{"tset", 3}};
  c.limit.all = 0;
  c.transforms = {{"x", {{"scal", {{1.0}, {}}, {}}, {"normalize", {{1.0}, {}}, {}}}, {}}};
  try {
    Data d(c);
    FAIL("no error");
  } catch (const DiagnosticError& e) {
    CHECK(e.kind() == ErrorKind::config);
    std::string all;
    for (const Diagnostic& d : e.diagnostics.all()) all += d.message + " (" + d.help + ")\n";
    CHECK(e.diagnostics.all().size() == 7);
    CHECK(contains(all, "a share between 0 and 1"));
    CHECK(contains(all, "there is no split `trian` to take it from (did you mean `train`?)"));
    CHECK(contains(all, "data.own: the split is taken from itself"));
    CHECK(contains(all, "data.batch names no split: `tset` (did you mean `test`?)"));
    CHECK(contains(all, "data.limit must be at least 1, got 0"));
    CHECK(contains(all, "unknown transform `scal` (did you mean `scale`?)"));
    CHECK(contains(all, "std"));
  }
  c = {};
  c.splits = {random_split("train", "f32[10, 2]", "i64[10] < 3"), taken_split("val", 10, true)};
  Data d(c);
  CHECK(contains(error_of(ErrorKind::input_file, [&] { d.peek("train"); }), "which leaves none"));
  CHECK(contains(error_of(ErrorKind::input_file, [&] { d.open("val"); }), "which leaves none"));
  CHECK(contains(error_of(ErrorKind::config, [&] { d.open("vall"); }), "no split `vall`"));
  c.splits = {random_split("train", "f32[10, 2]", "i64[10] < 3")};
  c.transforms = {{"xx", {{"scale", {{1.0}, {}}, {}}}, {}}};
  Data wrong(c);
  CHECK(
      contains(error_of(ErrorKind::config, [&] { wrong.peek("train"); }), "names no field: `xx`"));
}

TEST_CASE("data: synthetic fields of different lengths are an error of the config") {
  DataConfig c;
  c.splits = {random_split("train", "f32[10, 2]", "i64[12] < 3")};
  const std::string said = error_of(ErrorKind::config, [&] { Data d(c); });
  CHECK(contains(said, "fields of one split must have equal lengths"));
  CHECK(contains(said, "10 samples"));
  CHECK(contains(said, "12"));
}

TEST_CASE("data: an unknown transform that is near to none gets the list") {
  DataConfig c;
  c.splits = {random_split("train", "f32[10, 2]", "i64[10] < 3")};
  c.transforms = {{"", {{"ToTensor", {}, {}}, {"gamma", {}, {}}}, {}}};
  try {
    Data d(c);
    FAIL("no error");
  } catch (const DiagnosticError& e) {
    CHECK(contains(e.diagnostics.all().at(0).help, "scale(1 / 255)"));
    CHECK(contains(e.diagnostics.all().at(1).help, "center_crop"));
  }
}

TEST_CASE("data: the digits that come with nnm") {
  const std::string path = nnm::testing::source_dir() + "/configs/data/digits.h5";
  SplitConfig train;
  train.name = "train";
  train.path = path;
  train.fields = {{"images", {"train_images"}, false, {}}, {"labels", {"train_labels"}, false, {}}};
  SplitConfig test = train;
  test.name = "test";
  test.fields[0].sources = {"test_images"};
  test.fields[1].sources = {"test_labels"};
  DataConfig c;
  c.splits = {train, test};
  Data d(c);
  const SplitInfo a = d.peek("train"), b = d.peek("test");
  CHECK(a.samples == 1437);
  CHECK(b.samples == 360);
  CHECK(a.fields[0].shape == Shape{1, 8, 8});
  CHECK(a.fields[0].dtype == DType::u8);
  CHECK(a.fields[1].dtype == DType::i64);
  int64_t seen[10] = {}, brightest = 0;
  const auto l = d.loader("test", {.batch = 360});
  const auto all = l->next();
  for (int64_t v : all->fields[0].to_vector<int64_t>()) brightest = std::max(brightest, v);
  for (int64_t y : all->fields[1].to_vector<int64_t>()) ++seen[y];
  CHECK(brightest == 16);
  CHECK(*std::min_element(seen, seen + 10) >= 25);
}
