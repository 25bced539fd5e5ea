// The frame of the self-test: operands in memory of both devices, runs, comparisons.
#include "nnm/run/selftest/suite.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>

#include "kernels/cuda.h"
#include "kernels/half.h"
#include "nnm/base/error.h"

namespace nnm::run {

namespace {

/// Bytes around an operand's elements that nobody may write. They are NaN for every floating type
/// in the first run, which no sum or product hides, and a number in the second: some functions
/// leave NaN as it is, so that one element too many would not be seen.
constexpr size_t kGuard = 256;
constexpr char kNan = '\xff', kNumber = '\x5a';

uint64_t next_random(uint64_t& state) {
  uint64_t z = state += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

double uniform_number(uint64_t& state) {
  return static_cast<double>(next_random(state) >> 11) * 0x1p-53;
}

double special_number(uint64_t which) {
  constexpr double kInf = std::numeric_limits<double>::infinity();
  constexpr double kSpecials[] = {std::numeric_limits<double>::quiet_NaN(),
                                  kInf,
                                  -kInf,
                                  0.0,
                                  -0.0,
                                  1.0,
                                  -1.0,
                                  0.5,
                                  1e-30,
                                  60000.0};
  return kSpecials[which % std::size(kSpecials)];
}

double draw(const Contents& v, uint64_t& state) {
  const double u = uniform_number(state);
  switch (v.kind) {
    case Contents::Kind::uniform: return v.low + (v.high - v.low) * u;
    case Contents::Kind::integers: return std::floor(v.low + (v.high - v.low) * u);
    case Contents::Kind::specials:
      if (next_random(state) % 3 == 0) return special_number(next_random(state));
      [[fallthrough]];
    case Contents::Kind::normal: break;
  }
  const double w = uniform_number(state);
  return std::sqrt(-2 * std::log(1 - u)) * std::cos(6.283185307179586 * w);
}

void put(void* p, DType t, double x) {
  const auto as = [p](auto value) { std::memcpy(p, &value, sizeof value); };
  switch (t) {
    case DType::f32: return as(static_cast<float>(x));
    case DType::f64: return as(x);
    case DType::bf16: return as(BFloat16(static_cast<float>(x)));
    case DType::f16: return as(Half(static_cast<float>(x)));
    case DType::i64: return as(static_cast<int64_t>(x));
    case DType::i32: return as(static_cast<int32_t>(x));
    case DType::i16: return as(static_cast<int16_t>(x));
    case DType::i8: return as(static_cast<int8_t>(static_cast<int64_t>(x)));
    case DType::u8: return as(static_cast<uint8_t>(static_cast<int64_t>(x)));
    case DType::b8: return as(static_cast<uint8_t>(x > 0));
  }
}

double get(const void* p, DType t) {
  const auto as = [p]<class T>(T value) {
    std::memcpy(&value, p, sizeof value);
    return value;
  };
  switch (t) {
    case DType::f32: return as(float{});
    case DType::f64: return as(double{});
    case DType::bf16: return static_cast<float>(as(BFloat16{}));
    case DType::f16: return static_cast<float>(as(Half{}));
    case DType::i64: return static_cast<double>(as(int64_t{}));
    case DType::i32: return as(int32_t{});
    case DType::i16: return as(int16_t{});
    case DType::i8: return as(int8_t{});
    default: return as(uint8_t{});
  }
}

/// The k-th innermost dimension of `ndim`.
int innermost(Lay lay, int ndim, int k) {
  if (lay == Lay::turned) return k;
  const int d = ndim - 1 - k;
  if (lay == Lay::heads) return k == 1 ? 1 : k == 2 ? 2 : d;
  if (lay != Lay::channels || ndim < 2 || d == 0) return d;
  return k == 0 ? 1 : d + 1;
}

View laid_out(const Operand& o) {
  View v;
  v.dtype = o.dtype;
  v.ndim = static_cast<int32_t>(o.size.size());
  std::copy(o.size.begin(), o.size.end(), v.size);
  int64_t step = o.lay == Lay::gaps ? 2 : 1;
  for (int k = 0; k < v.ndim; ++k) {
    const int d = innermost(o.lay, v.ndim, k);
    if (o.spread >> d & 1) continue;
    v.stride[d] = step;
    step *= std::max<int64_t>(v.size[d], 1);
    if (o.lay == Lay::rows && k == 0) step += 3;
    if (o.lay == Lay::heads && k == 0) step = (step + 7) / 8 * 8;
    if (o.lay == Lay::heads && k == 1) step *= 3;
  }
  return v;
}

/// Calls f(offset in elements) for every element, in row-major order.
template <class F>
void each_element(const View& v, const F& f) {
  const int64_t n = v.numel();
  for (int64_t i = 0; i < n; ++i) {
    int64_t rest = i, at = 0;
    for (int d = v.ndim - 1; d >= 0; --d) {
      at += rest % v.size[d] * v.stride[d];
      rest /= v.size[d];
    }
    f(at);
  }
}

/// An operand's bytes, with guards, as they are before the call.
struct Buffer {
  Buffer(const Operand& operand, uint64_t& random) : o(operand), view(laid_out(operand)) {
    if (o.role == Operand::Role::absent) return;
    int64_t last = 0;
    each_element(view, [&](int64_t at) { last = std::max(last, at + 1); });
    const size_t item = item_size(o.dtype);
    start = kGuard + (o.lay == Lay::off ? item : 0);
    bytes.assign(start + static_cast<size_t>(last) * item + kGuard, kNan);
    if (o.role == Operand::Role::out) return;
    each_element(view, [&](int64_t at) {
      put(bytes.data() + start + static_cast<size_t>(at) * item, o.dtype, draw(o.values, random));
    });
  }
  View at(char* p, Device device) const {
    View v = view;
    v.device = device;
    v.data = o.role == Operand::Role::absent ? nullptr : p + start;
    return v;
  }

  /// Which of the bytes are elements.
  std::vector<bool> elements() const {
    std::vector<bool> own(bytes.size(), false);
    const size_t item = item_size(o.dtype);
    each_element(view, [&](int64_t at) {
      const size_t first = start + static_cast<size_t>(at) * item;
      std::fill_n(own.begin() + static_cast<std::ptrdiff_t>(first), item, true);
    });
    return own;
  }
  /// The bytes with others around and between the elements.
  std::vector<char> among(char guard) const {
    if (bytes.empty()) return {};
    const std::vector<bool> own = elements();
    std::vector<char> out = bytes;
    for (size_t i = 0; i < out.size(); ++i)
      if (!own[i]) out[i] = guard;
    return out;
  }

  const Operand& o;
  View view;
  size_t start = 0;
  std::vector<char> bytes;
};

/// What a run found and left: the bytes of all buffers, and what was returned.
struct Outcome {
  std::vector<std::vector<char>> before, bytes;
  std::vector<double> numbers;
};

Outcome on_cpu(const std::vector<Buffer>& buffers, const Call& call) {
  Outcome r;
  Views views;
  for (const Buffer& b : buffers) r.bytes.push_back(b.bytes);
  for (size_t i = 0; i < buffers.size(); ++i)
    views.push_back(buffers[i].at(r.bytes[i].data(), Device{}));
  r.numbers = call(views);
  return r;
}

/// Memory of a device.
class Lent {
 public:
  Lent(const Cuda& cuda, Device device, size_t bytes)
      : cuda_(cuda), device_(device), p_(bytes ? cuda.allocate(bytes, device.index) : nullptr) {}
  ~Lent() {
    if (p_) cuda_.deallocate(p_, device_.index);
  }
  Lent(Lent&& o) noexcept : cuda_(o.cuda_), device_(o.device_), p_(std::exchange(o.p_, nullptr)) {}
  char* get() const { return static_cast<char*>(p_); }

 private:
  const Cuda& cuda_;
  Device device_;
  void* p_;
};

Outcome on_device(Device device, const std::vector<Buffer>& buffers, const Call& call, char guard) {
  const Cuda& cuda = cuda_table(device);
  std::vector<Lent> memory;
  Views views;
  Outcome r;
  for (const Buffer& b : buffers) {
    memory.emplace_back(cuda, device, b.bytes.size());
    const std::vector<char>& bytes = r.before.emplace_back(b.among(guard));
    if (!bytes.empty())
      cuda.copy(memory.back().get(), device, bytes.data(), Device{}, bytes.size());
    views.push_back(b.at(memory.back().get(), device));
  }
  r.numbers = call(views);
  cuda.synchronize(device.index);
  for (size_t i = 0; i < buffers.size(); ++i) {
    r.bytes.emplace_back(buffers[i].bytes.size());
    if (!r.bytes[i].empty())
      cuda.copy(r.bytes[i].data(), Device{}, memory[i].get(), device, r.bytes[i].size());
  }
  return r;
}

/// How far rounding alone may take results apart, relative to the larger ones.
double limit_of(DType t) {
  switch (t) {
    case DType::f32: return 1e-5;
    case DType::f64: return 1e-12;
    case DType::bf16: return 1.6e-2;
    case DType::f16: return 2e-3;
    default: return 0;
  }
}

struct Compared {
  double error = 0;
  std::string worst;
};

Compared compare(const std::vector<double>& expected, const std::vector<double>& got) {
  double squares = 0;
  int64_t finite = 0;
  for (const double x : expected)
    if (std::isfinite(x)) squares += x * x, ++finite;
  const double typical = finite ? std::sqrt(squares / static_cast<double>(finite)) : 0;
  Compared c;
  for (size_t i = 0; i < expected.size(); ++i) {
    const double a = expected[i], b = got[i];
    if (a == b || (std::isnan(a) && std::isnan(b))) continue;
    double error = std::abs(a - b) / (std::abs(a) + typical);
    if (!std::isfinite(a) || !std::isfinite(b)) error = std::numeric_limits<double>::infinity();
    if (!(error <= c.error)) {
      c.error = error;
      c.worst = fmt::format("element {}: {:.9g} on the CPU, {:.9g} on the device", i, a, b);
    }
  }
  return c;
}

std::vector<double> elements(const Buffer& b, const std::vector<char>& bytes) {
  std::vector<double> all;
  all.reserve(static_cast<size_t>(b.view.numel()));
  const size_t item = item_size(b.o.dtype);
  each_element(b.view, [&](int64_t at) {
    all.push_back(get(bytes.data() + b.start + static_cast<size_t>(at) * item, b.o.dtype));
  });
  return all;
}

/// Whether a run changed bytes of an operand that are not its to change.
bool strayed(const Buffer& b, const std::vector<char>& before, const std::vector<char>& after) {
  const std::vector<bool> own = b.elements();
  for (size_t i = 0; i < after.size(); ++i)
    if (after[i] != before[i] && (b.o.role == Operand::Role::in || !own[i])) return true;
  return false;
}

/// Whether two runs left other elements.
bool other_elements(const Buffer& b, const std::vector<char>& x, const std::vector<char>& y) {
  const std::vector<bool> own = b.elements();
  for (size_t i = 0; i < x.size(); ++i)
    if (own[i] && x[i] != y[i]) return true;
  return false;
}

std::string described(const std::vector<Operand>& operands, const std::string& note) {
  static constexpr const char* kLays[] = {"",     " turned",   " gaps", " rows",
                                          " off", " channels", " heads"};
  std::string s;
  for (const Operand& o : operands) {
    if (!s.empty()) s += ", ";
    if (o.role == Operand::Role::absent) {
      s += "none";
      continue;
    }
    s += fmt::format("{} ({}){}{}", info(o.dtype).name, fmt::join(o.size, ", "),
                     kLays[static_cast<int>(o.lay)], o.spread ? " spread" : "");
  }
  return note.empty() ? s : note + ": " + s;
}

void check_strays(SelfTestResult& r, size_t operand, const Buffer& b, const Outcome& device) {
  if (r.status != SelfTestResult::Status::ok) return;
  if (!strayed(b, device.before[operand], device.bytes[operand])) return;
  r.status = SelfTestResult::Status::stray;
  r.note = fmt::format("operand {}", operand);
}

/// What a second run on the device, among other bytes, shows beside the first.
void judge_again(SelfTestResult& r, const std::vector<Buffer>& buffers, const Outcome& first,
                 const Outcome& second) {
  for (size_t i = 0; i < buffers.size(); ++i) {
    if (buffers[i].o.role == Operand::Role::absent) continue;
    check_strays(r, i, buffers[i], second);
    if (r.status == SelfTestResult::Status::ok &&
        other_elements(buffers[i], first.bytes[i], second.bytes[i]))
      r.status = SelfTestResult::Status::unsteady;
  }
}

void judge(SelfTestResult& r, const std::vector<Buffer>& buffers, const Outcome& cpu,
           const Outcome& device, double slack) {
  const auto take = [&](const Compared& c, double limit, const std::string& where) {
    r.limit = std::max(r.limit, limit);
    r.error = std::max(r.error, c.error);
    if (c.error <= limit || r.status == SelfTestResult::Status::differs) return;
    r.status = SelfTestResult::Status::differs;
    r.note = where + c.worst;
  };
  for (size_t i = 0; i < buffers.size(); ++i) {
    const Buffer& b = buffers[i];
    if (b.o.role == Operand::Role::absent) continue;
    check_strays(r, i, b, device);
    if (b.o.role == Operand::Role::in) continue;
    take(compare(elements(b, cpu.bytes[i]), elements(b, device.bytes[i])),
         slack * limit_of(b.o.dtype), fmt::format("operand {}, ", i));
  }
  if (!cpu.numbers.empty())
    take(compare(cpu.numbers, device.numbers), slack * limit_of(DType::f64), "returned ");
}

}  // namespace

const char* name(SelfTestResult::Status s) {
  static constexpr const char* kNames[] = {"ok",       "differs", "stray",
                                           "unsteady", "failed",  "missing"};
  return kNames[static_cast<int>(s)];
}

void Suite::check(const char* kernel, bool present, const std::string& note,
                  const std::vector<Operand>& operands, double slack, const Call& call) {
  if (!wanted_(kernel)) return;
  SelfTestResult r;
  r.kernel = kernel;
  r.operands = described(operands, note);
  if (!present) {
    r.status = SelfTestResult::Status::missing;
    return each_(r);
  }
  uint64_t random = 1;
  for (const char c : r.kernel + r.operands) random = random * 31 + static_cast<uint8_t>(c);
  std::vector<Buffer> buffers;
  for (const Operand& o : operands) buffers.emplace_back(o, random);
  try {
    const Outcome cpu = on_cpu(buffers, call), first = on_device(device_, buffers, call, kNan),
                  second = on_device(device_, buffers, call, kNumber);
    judge(r, buffers, cpu, first, slack);
    judge_again(r, buffers, first, second);
  } catch (const Error& e) {
    r.status = SelfTestResult::Status::failed;
    r.note = e.what();
  }
  each_(r);
}

void selftest(Device device, const std::function<bool(const std::string&)>& wanted,
              const std::function<void(const SelfTestResult&)>& each) {
  cuda_table(device);
  Suite s(device, wanted, each);
  check_pointwise(s);
  check_activations(s);
  check_reductions(s);
  check_classes(s);
  check_updates(s);
  check_random(s);
  check_statistics(s);
  check_products(s);
  check_layers(s);
  check_recurrent(s);
  check_indices(s);
}

}  // namespace nnm::run
