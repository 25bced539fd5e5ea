// Convolutions through cuDNN's interface: which descriptors they come to, which engine is taken,
// their results, and what the plug-in's own kernels do in its place.
#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "kernels/conv.h"
#include "nnm/ops/matmul_precision.h"
#include "nnm/ops/ops.h"
#include "nnm/tensor/device.h"
#include "support/gpu.h"

namespace nnm {
namespace {

using testing::emulated_gpu;
using DnnLines = std::vector<std::string>;

/// A variable of the environment while it lives.
class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) {
    setenv(name, value.c_str(), 1);
  }
  ~Variable() { unsetenv(name_); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
};

/// What f has cuDNN do, one line a call.
template <class F>
DnnLines asked_of_dnn(const F& f) {
  const auto path = std::filesystem::temp_directory_path() / "nnm_dnn_log";
  std::filesystem::remove(path);
  const Variable wanted("NNM_CUDA_CUDNN", "1"), log("NNM_EMULATED_DNN_LOG", path.string());
  f();
  std::ifstream in(path);
  DnnLines lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

struct Layer {
  Shape x;
  int64_t outputs, kernel[2];
  Conv2d p;

  int64_t extent(size_t i) const {
    return (x[2 + i] + p.before[i] + p.after[i] - p.dilation[i] * (kernel[i] - 1) - 1) /
               p.stride[i] +
           1;
  }
};

/// The operands of all passes, on the GPU in `t` or on the CPU in f64 with the same numbers.
struct Passes {
  Tensor x, w, g, bias;
  Tensor y, dx, dw, dbias;

  Passes(const Layer& l, DType t)
      : x(to(channels_last(randn(l.x)), t)),
        w(to(randn({l.outputs, l.x[1] / l.p.groups, l.kernel[0], l.kernel[1]}), t)),
        g(to(channels_last(randn({l.x[0], l.outputs, l.extent(0), l.extent(1)})), t)),
        bias(to(randn({l.outputs}), t)) {
    make_results();
  }
  Passes on(Device device, DType t) const {
    Passes out = *this;
    for (Tensor* v : {&out.x, &out.w, &out.g, &out.bias}) *v = moved(to(*v, t), device);
    out.make_results();
    return out;
  }
  void make_results() {
    y = empty_channels_last(g.shape(), g.options());
    dx = empty_channels_last(x.shape(), x.options());
    dw = empty(w.shape(), w.options());
    dbias = empty(bias.shape(), bias.options());
  }
  void run(const Conv2d& p) const {
    kernels::conv2d(y, x, w, bias, p);
    kernels::conv2d_backward_input(dx, g, w, p);
    kernels::conv2d_backward_weight(dw, dbias, g, x, p);
  }
};

double largest_error(const Tensor& got, const Tensor& expected) {
  const Tensor difference = sub(to(got, {DType::f64, Device{}}), expected);
  return max(abs(difference)).item().d / std::max(max(abs(expected)).item().d, 1e-3);
}

/// What cuDNN is asked for by all passes, whose results are right.
DnnLines checked_passes(const Layer& l, DType t) {
  const Passes operands(l, t), own = operands.on(emulated_gpu(), t),
                               expected = operands.on(Device{}, DType::f64);
  const DnnLines lines = asked_of_dnn([&] { own.run(l.p); });
  expected.run(l.p);
  const double most = t == DType::f64   ? 1e-12
                      : t == DType::f32 ? 2e-6
                      : t == DType::f16 ? 2e-3
                                        : 1e-2;
  CHECK(largest_error(own.y, expected.y) < most);
  CHECK(largest_error(own.dx, expected.dx) < most);
  CHECK(largest_error(own.dw, expected.dw) < most);
  CHECK(largest_error(own.dbias, expected.dbias) < most);
  return lines;
}

const Layer kUneven = {{2, 16, 6, 5}, 8, {3, 2}, {{2, 1}, {1, 2}, {1, 0}, {2, 1}, 1}};

TEST_CASE("the passes of a convolution are one operation each, with channels innermost") {
  emulated_gpu();
  const auto lines = [](int type) {
    const std::string rest = " type " + std::to_string(type) +
                             ", x 2 16 6 5 by 480 1 80 16, w 8 16 3 2 by 96 1 32 16"
                             ", y 2 8 4 4 by 128 1 32 8, stride 2 1, dilation 1 2, before 1 0"
                             ", after 2 1, engine 62";
    return DnnLines{"forward" + rest, "data" + rest, "filter" + rest};
  };
  CHECK(checked_passes(kUneven, DType::bf16) == lines(9));
  CHECK(checked_passes(kUneven, DType::f16) == lines(2));
}

TEST_CASE("f32 is computed without tensor cores") {
  emulated_gpu();
  const Layer l = {{1, 64, 4, 3}, 64, {3, 3}, {{1, 1}, {1, 1}, {1, 1}, {1, 1}, 1}};
  const std::string rest =
      " type 0, x 1 64 4 3 by 768 1 192 64, w 64 64 3 3 by 576 1 192 64, y 1 64 4 3 by 768 1 192 64"
      ", stride 1 1, dilation 1 1, before 1 1, after 1 1, engine 1";
  CHECK(checked_passes(l, DType::f32) ==
        DnnLines{"forward" + rest, "data" + rest, "filter" + rest});
  // Where its engines would move more than they compute it is left alone.
  CHECK(checked_passes(kUneven, DType::f32).empty());
}

TEST_CASE("f32 is convolved as TF32, with tensor cores, where that is allowed") {
  emulated_gpu();
  const Layer l = {{1, 64, 4, 3}, 64, {3, 3}, {{1, 1}, {1, 1}, {1, 1}, {1, 1}, 1}};
  const auto engines = [&](DType t) {
    std::vector<std::string> all;
    for (const std::string& line : checked_passes(l, t))
      all.push_back(line.substr(line.rfind(' ')));
    return all;
  };
  using Engines = std::vector<std::string>;
  const Tf32Guard tf32(true);
  CHECK(engines(DType::f32) == Engines(3, " 67"));
  CHECK(engines(DType::bf16) == Engines(3, " 62"));
  CHECK(checked_passes(kUneven, DType::f32).size() == 3);
}

TEST_CASE("groups and weights that lie as cuDNN wants them") {
  emulated_gpu();
  const DnnLines groups =
      checked_passes({{2, 16, 5, 4}, 24, {3, 3}, {{1, 1}, {1, 1}, {1, 1}, {1, 1}, 2}}, DType::bf16);
  REQUIRE(groups.size() == 3);
  CHECK(groups[0].find("w 24 8 3 3 by 72 1 24 8, y 2 24 5 4") != std::string::npos);
  CHECK(checked_passes({{2, 16, 6, 6}, 8, {1, 1}, {{2, 2}, {1, 1}, {0, 0}, {0, 0}, 1}}, DType::bf16)
            .size() == 3);
  CHECK(checked_passes({{2, 1, 6, 6}, 8, {3, 3}, {{1, 1}, {1, 1}, {0, 0}, {0, 0}, 1}}, DType::bf16)
            .size() == 3);
}

TEST_CASE("what cuDNN does not do well, or not at all, the plug-in does") {
  emulated_gpu();
  const Conv2d plain = {{1, 1}, {1, 1}, {1, 1}, {1, 1}, 1};
  CHECK(checked_passes(kUneven, DType::f64).empty());
  // Products of matrices as they lie; one result a thread.
  CHECK(checked_passes({{2, 16, 4, 4}, 8, {1, 1}, {}}, DType::bf16).empty());
  Conv2d depthwise = plain;
  depthwise.groups = 16;
  CHECK(checked_passes({{1, 16, 4, 4}, 16, {3, 3}, depthwise}, DType::bf16).empty());
  // Sizes of their own: plans are kept, refusals too.
  {
    const Variable refusal("NNM_EMULATED_DNN_REFUSES", "plan");
    CHECK(checked_passes({{1, 8, 3, 7}, 8, {3, 3}, plain}, DType::bf16).empty());
  }
  {
    const Variable refusal("NNM_EMULATED_DNN_REFUSES", "run");
    CHECK(checked_passes({{1, 8, 3, 8}, 8, {3, 3}, plain}, DType::bf16).empty());
  }
  CHECK(checked_passes({{1, 8, 3, 7}, 8, {3, 3}, plain}, DType::bf16).empty());
  CHECK(checked_passes({{1, 8, 3, 8}, 8, {3, 3}, plain}, DType::bf16).empty());
}

TEST_CASE("images that are not aligned are not given to cuDNN") {
  const Device gpu = emulated_gpu();
  const Tensor all = moved(to(channels_last(randn({2, 8, 5, 5})), DType::bf16), gpu);
  const Tensor w = moved(to(randn({8, 8, 3, 3}), DType::bf16), gpu);
  const Conv2d p = {{1, 1}, {1, 1}, {1, 1}, {1, 1}, 1};
  View x = all.view();
  x.size[0] = 1;
  const Tensor y = empty_channels_last({1, 8, 5, 5}, all.options());
  CHECK(asked_of_dnn([&] { kernels::conv2d(y, x, w, View{}, p); }).size() == 1);
  x.data = static_cast<char*>(all.view().data) + 8;
  CHECK(asked_of_dnn([&] { kernels::conv2d(y, x, w, View{}, p); }).empty());
  x.data = all.view().data;
  const DnnLines off = asked_of_dnn([&] {
    setenv("NNM_CUDA_CUDNN", "0", 1);
    kernels::conv2d(y, x, w, View{}, p);
  });
  CHECK(off.empty());
}

}  // namespace
}  // namespace nnm
