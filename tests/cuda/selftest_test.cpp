// What the self-test says of kernels that are wrong, each in its own way.
#include <doctest/doctest.h>

#include <vector>

#include "kernels/cuda.h"
#include "nnm/base/error.h"
#include "nnm/run/selftest/suite.h"
#include "support/gpu.h"

namespace nnm {
namespace {

using run::SelfTestResult;
using Status = SelfTestResult::Status;
using Doubling = Kernel<void(const View& y, const View& x)>;

void doubled(const View& y, const View& x) {
  for (int64_t i = 0; i < y.size[0]; ++i) y.as<float>()[i] = 2 * x.as<float>()[i];
}

// What follows works on memory of the device, by way of copies.
std::vector<float> twice(const View& x) {
  std::vector<float> all(static_cast<size_t>(x.size[0]));
  cuda_table(x.device).copy(all.data(), Device{}, x.data, x.device, all.size() * sizeof(float));
  for (float& v : all) v *= 2;
  return all;
}
void put(const View& v, int64_t at, const std::vector<float>& values) {
  cuda_table(v.device).copy(v.as<float>() + at, v.device, values.data(), Device{},
                            values.size() * sizeof(float));
}
void right(const View& y, const View& x) { put(y, 0, twice(x)); }
void without_the_last(const View& y, const View& x) {
  std::vector<float> all = twice(x);
  all.pop_back();
  put(y, 0, all);
}
void one_beyond(const View& y, const View& x) {
  right(y, x);
  put(y, y.size[0], {0});
}
void into_the_input(const View& y, const View& x) {
  right(y, x);
  put(x, 0, {5});
}
void a_little_other_each_time(const View& y, const View& x) {
  static float calls = 0;
  std::vector<float> all = twice(x);
  all[1] *= 1 + ++calls * 2e-7f;
  put(y, 0, all);
}
void refusing(const View&, const View&) { throw Error(ErrorKind::device, "not today"); }

SelfTestResult result_of(Doubling::Fn on_device) {
  Doubling kernel("doubling");
  kernel.set_cpu(Isa::baseline, doubled);
  if (on_device) kernel.set(DeviceType::cuda, on_device);
  SelfTestResult result;
  const std::function<bool(const std::string&)> all = [](const std::string&) { return true; };
  const std::function<void(const SelfTestResult&)> keep = [&](const SelfTestResult& r) {
    result = r;
  };
  run::Suite suite(testing::emulated_gpu(), all, keep);
  suite.check(kernel, "twice", {run::out(DType::f32, {9}), run::in(DType::f32, {9})}, 1,
              [&](const run::Views& v) { kernel(v[0], v[1]); });
  return result;
}

TEST_CASE("the self-test tells apart what is wrong with a kernel") {
  const SelfTestResult good = result_of(right);
  CHECK(good.status == Status::ok);
  CHECK(good.error == 0);
  CHECK(good.kernel == "doubling");
  CHECK(good.operands == "twice: f32 (9), f32 (9)");
  CHECK(result_of(nullptr).status == Status::missing);
  const SelfTestResult short_one = result_of(without_the_last);
  CHECK(short_one.status == Status::differs);
  CHECK(short_one.note.starts_with("operand 0, element 8: "));
  CHECK(short_one.note.ends_with("nan on the device"));
  CHECK(result_of(one_beyond).status == Status::stray);
  CHECK(result_of(into_the_input).status == Status::stray);
  CHECK(result_of(a_little_other_each_time).status == Status::unsteady);
  const SelfTestResult failed = result_of(refusing);
  CHECK(failed.status == Status::failed);
  CHECK(failed.note == "not today");
}

}  // namespace
}  // namespace nnm
