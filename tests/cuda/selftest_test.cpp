// What the self-test says of kernels that are wrong, each in its own way.
#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include "kernels/cuda.h"
#include "kernels/cuda/simt.h"
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

/// What is wrong with a kernel that doubles by way of shared memory.
enum class Fault : uint8_t {
  none,
  short_by_one,
  beyond,
  neighbour,
  stale,
  no_barrier,
  late_barrier
};

constexpr unsigned kBlock = 4;

template <Fault kFault>
__global__ void doubled_backwards(float* y, const float* x, int64_t n) {
  __shared__ float tile[kBlock], twice[kBlock];
  const int64_t i = int64_t{blockIdx.x} * kBlock + threadIdx.x;
  const unsigned other = kBlock - 1 - threadIdx.x;
  const int64_t end = n + (kFault == Fault::beyond) - (kFault == Fault::short_by_one);
  if (kFault != Fault::stale || i + 1 < n)
    tile[threadIdx.x] = i < n ? x[i + (kFault == Fault::neighbour)] : 0;
  if (kFault != Fault::no_barrier) __syncthreads();
  twice[other] = 2 * tile[other];
  if (kFault != Fault::late_barrier) __syncthreads();
  if (i < end) y[i] = twice[threadIdx.x];
  if (kFault == Fault::late_barrier) __syncthreads();
}

template <Fault kFault>
void planted(const View& y, const View& x) {
  const int64_t n = x.size[0];
  NNM_LAUNCH(doubled_backwards<kFault>, dim3(static_cast<unsigned>((n + kBlock) / kBlock)), kBlock,
             0, y.as<float>(), x.as<float>(), n);
}

/// What the self-test says of it with threads in three orders.
template <Fault kFault>
std::vector<Status> in_all_orders() {
  std::vector<Status> out;
  for (const simt::Order order :
       {simt::Order::forward, simt::Order::reverse, simt::Order::shuffled}) {
    simt::set_order(order, 7);
    out.push_back(result_of(planted<kFault>).status);
  }
  simt::set_order(simt::Order::forward);
  return out;
}

TEST_CASE("faults planted in a kernel are found in one order of threads or another") {
  const auto found = [](const std::vector<Status>& all) {
    return std::count(all.begin(), all.end(), Status::ok) < std::ssize(all);
  };
  CHECK_FALSE(found(in_all_orders<Fault::none>()));
  CHECK(found(in_all_orders<Fault::short_by_one>()));
  CHECK(found(in_all_orders<Fault::beyond>()));
  CHECK(found(in_all_orders<Fault::neighbour>()));
  CHECK(found(in_all_orders<Fault::stale>()));
  CHECK(found(in_all_orders<Fault::no_barrier>()));
  CHECK(found(in_all_orders<Fault::late_barrier>()));
  // What lies beyond the end is other memory; what is left out keeps what it held.
  CHECK(in_all_orders<Fault::beyond>()[0] == Status::stray);
  CHECK(in_all_orders<Fault::short_by_one>()[0] == Status::differs);
}

}  // namespace
}  // namespace nnm
