// Tensors print as PyTorch prints them: tests/golden/print.txt, made by scripts/golden_print.py.
#include <doctest/doctest.h>

#include <fstream>
#include <functional>
#include <map>
#include <sstream>

#include "golden/golden.h"
#include "nnm/base/print.h"
#include "nnm/nn/slot.h"
#include "nnm/ops/ops.h"
#include "nnm/tensor/print.h"
#include "support/paths.h"

namespace {

using namespace nnm;

struct Case {
  std::string line, text;
};

std::vector<Case> read_cases() {
  std::ifstream file(testing::source_dir() + "/tests/golden/print.txt");
  std::vector<Case> out;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("> ")) out.push_back({line.substr(2), ""});
    else out.back().text += (out.back().text.empty() ? "" : "\n") + line;
  }
  return out;
}

DType dtype_of(const std::string& name) {
  for (int i = 0; i < kDTypes; ++i) {
    if (name == kDTypeInfo[i].name) return static_cast<DType>(i);
  }
  FAIL("unknown type ", name);
  return {};
}

/// The words of the script's `values`.
std::vector<double> numbers(std::istringstream& words, int64_t n) {
  std::string kind, word;
  words >> kind;
  std::vector<std::string> rest;
  while (words >> word) rest.push_back(word);
  if (kind == "cycle") {
    std::vector<double> out;
    for (int64_t i = 0; i < n; ++i) {
      out.push_back(std::stod(rest[static_cast<size_t>(i) % rest.size()]));
    }
    return out;
  }
  std::vector<double> out = golden::uniform(rest[0], n);
  for (double& u : out) u = u * std::stod(rest[1]) + std::stod(rest[2]);
  return out;
}

const std::map<std::string, std::function<Value(const Tensor&)>>& steps() {
  static const std::map<std::string, std::function<Value(const Tensor&)>> table = {
      {"t", [](const Tensor& x) { return transpose(x, 0, 1); }},
      {"every2", [](const Tensor& x) { return slice(x, 0, {}, {}, 2); }},
      {"grad", [](const Tensor& x) { return x.requires_grad_(); }},
      {"parameter", [](const Tensor& x) { return parameter(x, is_floating(x.dtype())); }},
      {"frozen", [](const Tensor& x) { return parameter(x, false); }},
      {"meta",
       [](const Tensor& x) {
         return to(x, TensorOptions{x.dtype(), {DeviceType::meta}});
       }},
      {"mul", [](const Tensor& x) { return x * 2; }},
      {"add", [](const Tensor& x) { return x + 1; }},
      {"relu", [](const Tensor& x) { return relu(x); }},
      {"sum", [](const Tensor& x) { return sum(x); }},
      {"mean", [](const Tensor& x) { return mean(x); }},
      {"mm", [](const Tensor& x) { return matmul(x, x); }},
      {"detach", [](const Tensor& x) { return x.detach(); }},
      {"softmax", [](const Tensor& x) { return softmax(x, -1); }},
      {"log_softmax", [](const Tensor& x) { return log_softmax(x, -1); }},
      {"leaky_relu", [](const Tensor& x) { return leaky_relu(x, 0.5); }},
      {"linear", [](const Tensor& x) { return linear(x, x, select(x, 1, 0)); }},
      {"reshape", [](const Tensor& x) { return reshape(x, {-1}); }},
      {"permute",
       [](const Tensor& x) {
         return permute(x, {1, 0});
       }},
      {"cat",
       [](const Tensor& x) {
         return cat({x, x});
       }},
      {"list",
       [](const Tensor& x) {
         return Value::list({x, 1.5});
       }},
      {"dict",
       [](const Tensor& x) {
         return Value::dict({{"a", x}, {"b", nullptr}});
       }},
      {"tuple", [](const Tensor& x) { return Value::tuple({x}); }},
  };
  return table;
}

PrintChanges print_changes(const std::string& words) {
  PrintChanges out{.profile = "default"};
  std::istringstream in(words);
  for (std::string word; in >> word;) {
    const size_t equals = word.find('=');
    const std::string name = word.substr(0, equals), value = word.substr(equals + 1);
    if (name == "profile") out.profile = value;
    else if (name == "sci_mode") out.sci_mode = value == "true";
    else if (name == "precision") out.precision = std::stoi(value);
    else if (name == "threshold") out.threshold = std::stod(value);
    else if (name == "edgeitems") out.edgeitems = std::stoll(value);
    else if (name == "linewidth") out.linewidth = std::stoll(value);
    else FAIL("unknown option ", name);
  }
  return out;
}

/// The text of a case, whose line may begin with options.
std::string printed(std::string line) {
  const size_t bar = line.find("| ");
  const PrintOptionsGuard guard(print_changes(bar == line.npos ? "" : line.substr(0, bar)));
  if (bar != line.npos) line.erase(0, bar + 2);
  const size_t open = line.find('['), close = line.find(']'), semicolon = line.find(';');
  std::vector<int64_t> sizes;
  std::istringstream extents(line.substr(open + 1, close - open - 1));
  for (std::string n; std::getline(extents, n, ',');) sizes.push_back(std::stoll(n));
  const Shape shape(sizes);
  std::istringstream words(line.substr(close + 1, semicolon - close - 1));
  const TensorOptions options{dtype_of(line.substr(0, line.find(' '))), {}};
  Value x = tensor_of<double>(numbers(words, shape.numel()), shape, options);
  std::istringstream names(semicolon == line.npos ? "" : line.substr(semicolon + 1));
  for (std::string step; names >> step;) x = steps().at(step)(x.as<Tensor>());
  return x.repr();
}

}  // namespace

TEST_SUITE("tensor print") {
  TEST_CASE("tensors print as PyTorch prints them") {
    const std::vector<Case> cases = read_cases();
    REQUIRE(cases.size() > 500);
    for (const Case& c : cases) {
      CAPTURE(c.line);
      CHECK(printed(c.line) == c.text);
    }
  }

  TEST_CASE("what is no tensor prints as Python prints it") {
    CHECK(Tensor().repr() == "None");
    CHECK(str(Shape{2, 3}) == "torch.Size([2, 3])");
    CHECK(str(Shape{}) == "torch.Size([])");
    CHECK(str(Tensors{ones({1}), {}}) == "(tensor([1.]), None)");
    CHECK(Value(ones({2, 3})).config_text() == "Tensor(f32[2, 3])");
  }

  TEST_CASE("tensor takes nested lists") {
    CHECK(tensor({{1, 2}, {3, 4}}).repr() == "tensor([[1, 2],\n        [3, 4]])");
    CHECK(tensor({{1.0, 2.0}}).repr() == "tensor([[1., 2.]])");
    CHECK(tensor({true, false}).repr() == "tensor([ True, False])");
    CHECK(tensor(3.5f).repr() == "tensor(3.5000)");
    CHECK(tensor(2).dtype() == DType::i64);
    CHECK(tensor({1, 2.5}).repr() == "tensor([1.0000, 2.5000])");
    CHECK(tensor({1, 2}, DType::f64).repr() == "tensor([1., 2.], dtype=torch.float64)");
    CHECK(tensor({}).repr() == "tensor([])");
    CHECK(tensor({{}, {}}).repr() == "tensor([], size=(2, 0))");
    CHECK(tensor({{{1}}}).shape() == Shape{1, 1, 1});
    CHECK_THROWS_WITH_AS(tensor({{1, 2}, {3}}), "expected sequence of length 2 at dim 1 (got 1)",
                         Error);
    CHECK_THROWS_WITH_AS(tensor({{{1}}, {{1, 2}}}),
                         "expected sequence of length 1 at dim 2 (got 2)", Error);
    CHECK_THROWS_WITH_AS(tensor({{1}, 2}), "not a sequence", Error);
    CHECK_THROWS_AS(tensor({1, {2}}), Error);
  }

  TEST_CASE("numbers stand on either side") {
    const Tensor x = tensor({1.0, 4.0});
    CHECK(equal(2 * x, x * 2));
    CHECK(equal(1 + x, x + 1));
    CHECK(equal(1 - x, tensor({0.0, -3.0})));
    CHECK(equal(2 / x, tensor({2.0, 0.5})));
  }
}

TEST_SUITE("print options") {
  TEST_CASE("print options stay until they are changed, but for sci_mode") {
    const PrintOptionsGuard guard({});
    const Tensor x = tensor({1.25, 0.5});
    set_printoptions({.precision = 2, .sci_mode = true});
    CHECK(x.repr() == "tensor([1.25e+00, 5.00e-01])");
    set_printoptions({.linewidth = 40});
    CHECK(get_printoptions().precision == 2);
    CHECK(!get_printoptions().sci_mode);
    CHECK(x.repr() == "tensor([1.25, 0.50])");
    set_printoptions({.edgeitems = 1, .profile = "short"});
    CHECK(get_printoptions().edgeitems == 1);
    CHECK(get_printoptions().linewidth == 80);
    CHECK_THROWS_WITH_AS(set_printoptions({.profile = "long"}),
                         "profile must be 'default', 'short' or 'full', got 'long'", Error);
    CHECK_THROWS_WITH_AS(set_printoptions({.precision = -1}),
                         "precision, edgeitems and linewidth must not be negative", Error);
    CHECK(get_printoptions().precision == 2);
  }

  TEST_CASE("a stream gets what print writes") {
    std::ostringstream out;
    const Parameter bias(make_ref<TensorSlot>("bias", tensor({1, 2}), true));
    out << tensor({1.5}) << ' ' << Shape{2, 3} << ' ' << DType::f32 << ' ' << Value("text") << ' '
        << Tensor() << ' ' << bias;
    CHECK(out.str() ==
          "tensor([1.5000]) torch.Size([2, 3]) torch.float32 text None tensor([1, 2])");
  }
}
