// Cases of reductions, sorting, softmax and the loss of classes.
#include <fmt/format.h>

#include <limits>

#include "kernels/difference.h"
#include "kernels/optim.h"
#include "kernels/pointwise.h"
#include "kernels/reduce.h"
#include "kernels/softmax.h"
#include "kernels/statistics.h"
#include "nnm/run/selftest/suite.h"
#include "nnm/tensor/device.h"

namespace nnm::run {

namespace {

constexpr const char* kReduceNames[] = {"sum", "prod", "max", "min"};

struct Reduced {
  Sizes x, out;
};

/// Rows and columns, short and so long that they go in parts, and dimensions between others.
const std::vector<Reduced>& shapes() {
  static const std::vector<Reduced> all = {{{1}, {1}},
                                           {{37}, {1}},
                                           {{70001}, {1}},
                                           {{5, 33}, {5, 1}},
                                           {{300, 7}, {300, 1}},
                                           {{3, 9001}, {3, 1}},
                                           {{33, 70}, {1, 70}},
                                           {{3000, 5}, {1, 5}},
                                           {{4, 6, 35}, {4, 1, 35}},
                                           {{3, 5, 7}, {1, 5, 1}},
                                           {{2, 300, 3, 4}, {1, 300, 1, 1}},
                                           {{5, 1, 8}, {5, 1, 1}}};
  return all;
}

void check_reduce(Suite& s) {
  for (int i = 0; i < 4; ++i) {
    const auto f = static_cast<Reduce>(i);
    const auto call = [f](const Views& v) { kernels::reduce(v[0], v[1], f); };
    for (const Reduced& r : shapes()) {
      const Contents v = f == Reduce::prod ? uniform(0.999, 1.001) : Contents{};
      for (const DType t : kFloats) {
        s.check(kernels::reduce, kReduceNames[i], {out(t, r.out), in(t, r.x, v)}, 2, call);
        s.check(kernels::reduce, kReduceNames[i], {out(t, r.out), in(t, r.x, Lay::turned, v)}, 2,
                call);
      }
      for (const DType t : {DType::i64, DType::i32, DType::i16, DType::i8, DType::u8, DType::b8})
        s.check(kernels::reduce, kReduceNames[i],
                {out(f == Reduce::sum || f == Reduce::prod ? DType::i64 : t, r.out),
                 in(t, r.x, integers(0, 3))},
                0, call);
    }
    s.check(kernels::reduce, kReduceNames[i],
            {out(DType::f32, {4, 1}), in(DType::f32, {4, 50}, specials())}, 2, call);
    if (f == Reduce::sum || f == Reduce::prod) {
      s.check(kernels::reduce, kReduceNames[i], {out(DType::f32, {3, 1}), in(DType::f32, {3, 0})},
              0, call);
      s.check(kernels::reduce, kReduceNames[i], {out(DType::f32, {1, 3}), in(DType::f32, {0, 3})},
              0, call);
    }
    s.check(kernels::reduce, kReduceNames[i], {out(DType::f32, {0, 1}), in(DType::f32, {0, 4})}, 0,
            call);
    s.check(kernels::reduce, std::string(kReduceNames[i]) + " into f32",
            {out(DType::f32, {8, 1}), in(DType::bf16, {8, 500}, uniform(0.9, 1.1))}, 2, call);
  }
}

void check_lanes(Suite& s, const Sizes& x, int64_t dim) {
  const size_t d = static_cast<size_t>(dim);
  const Contents few = integers(0, 12);
  for (const DType t : {DType::f32, DType::bf16, DType::f64, DType::i64, DType::i32})
    for (const bool yes : {true, false}) {
      Sizes one = x;
      one[d] = 1;
      const std::string note = fmt::format("{} dim {}", yes ? "descending" : "ascending", dim);
      s.check(kernels::extremum, note, {out(t, one), out(DType::i64, one), in(t, x, few)}, 0,
              [=](const Views& v) { kernels::extremum(v[0], v[1], v[2], dim, yes); });
      s.check(kernels::sort, note, {out(t, x), out(DType::i64, x), in(t, x, few)}, 0,
              [=](const Views& v) { kernels::sort(v[0], v[1], v[2], dim, yes); });
      Sizes top = x;
      top[d] = (x[d] + 2) / 3;
      s.check(kernels::sort, note, {out(t, top), out(DType::i64, top), in(t, x, Lay::turned, few)},
              0, [=](const Views& v) { kernels::sort(v[0], v[1], v[2], dim, yes); });
      s.check(kernels::cumsum, yes ? "reverse" : "forward",
              {out(t, x), in(t, x, is_floating(t) ? Contents{} : few)}, 2,
              [=](const Views& v) { kernels::cumsum(v[0], v[1], dim, yes); });
    }
}

void check_along(Suite& s) {
  for (const Sizes& x : {Sizes{1}, Sizes{40}, Sizes{40, 6}, Sizes{2, 33, 5}})
    for (int64_t dim = 0; dim < static_cast<int64_t>(x.size()); ++dim) check_lanes(s, x, dim);
  // Each lane has a block of threads, which the emulation takes its time for: few long ones.
  check_lanes(s, {3, 1500}, 1);
  for (const bool yes : {true, false}) {
    s.check(kernels::extremum, "specials",
            {out(DType::f32, {9, 1}), out(DType::i64, {9, 1}), in(DType::f32, {9, 7}, specials())},
            0, [=](const Views& v) { kernels::extremum(v[0], v[1], v[2], 1, yes); });
    s.check(
        kernels::sort, "specials",
        {out(DType::f32, {9, 70}), out(DType::i64, {9, 70}), in(DType::f32, {9, 70}, specials())},
        0, [=](const Views& v) { kernels::sort(v[0], v[1], v[2], 1, yes); });
  }
}

void check_softmax(Suite& s) {
  const std::vector<Sizes> all = {{1, 1},     {5, 10},  {9, 33},  {3, 2500}, {4, 17, 6},
                                  {2, 3, 40}, {19, 72}, {9, 968}, {2, 4104}, {2, 8200}};
  for (const Sizes& x : all)
    for (const DType t : kFloats)
      for (const bool log : {false, true}) {
        const char* note = log ? "log" : "";
        s.check(kernels::softmax, note, {out(t, x), in(t, x)}, 4,
                [=](const Views& v) { kernels::softmax(v[0], v[1], 1, log); });
        s.check(kernels::softmax_backward, note,
                {out(t, x), in(t, x), in(t, x, log ? uniform(-3, -0.1) : uniform(0, 1))}, 4,
                [=](const Views& v) { kernels::softmax_backward(v[0], v[1], v[2], 1, log); });
      }
  for (const Sizes& x :
       {Sizes{40, 3}, Sizes{40, 18}, Sizes{40, 64}, Sizes{9, 1100}, Sizes{9, 1101}})
    s.check(kernels::softmax, "specials", {out(DType::f32, x), in(DType::f32, x, specials())}, 4,
            [](const Views& v) { kernels::softmax(v[0], v[1], 1, false); });
  s.check(kernels::softmax, "", {out(DType::f32, {0, 4}), in(DType::f32, {0, 4})}, 1,
          [](const Views& v) { kernels::softmax(v[0], v[1], 1, false); });
}

void check_cross_entropy(Suite& s) {
  using Reduction = CrossEntropy::Reduction;
  const std::vector<Sizes> all = {{1, 3, 1},   {37, 10, 1}, {5, 1500, 1},
                                  {66, 40, 1}, {3, 7, 21},  {1500, 4, 1}};
  for (const Sizes& x : all)
    for (const DType t : kFloats)
      for (const Reduction r : {Reduction::none, Reduction::mean, Reduction::sum})
        for (const int kind : {0, 1, 2, 3}) {
          CrossEntropy o;
          o.reduction = r;
          o.label_smoothing = kind == 2 ? 0.1 : 0;
          o.log_probs = kind == 3;
          o.ignore_index = kind == 1 ? 1 : -100;
          const Sizes rows = {x[0], x[2]}, y = r == Reduction::none ? rows : Sizes{};
          const DType wide = t == DType::f64 ? DType::f64 : DType::f32;
          const Operand target = in(DType::i64, rows, integers(0, x[1])),
                        weight = kind >= 1 ? in(t, {x[1]}, uniform(0.5, 2)) : absent();
          const std::string note = fmt::format("reduction {} kind {}", static_cast<int>(r), kind);
          s.check(kernels::cross_entropy, note,
                  {out(t, y), out(wide, rows), in(t, x), target, weight}, 4,
                  [o](const Views& v) { kernels::cross_entropy(v[0], v[1], v[2], v[3], v[4], o); });
          s.check(kernels::cross_entropy_backward, note,
                  {out(t, x), in(t, y), in(wide, rows, uniform(2, 4)), in(t, x), target, weight}, 4,
                  [o](const Views& v) {
                    kernels::cross_entropy_backward(v[0], v[1], v[2], v[3], v[4], v[5], o);
                  });
        }
}

/// A copy in f32 of what lies row-major in the CPU's memory.
struct Wide {
  explicit Wide(const View& v) : values(static_cast<size_t>(v.numel())), view(v) {
    view.data = values.data();
    view.dtype = DType::f32;
    int64_t stride = 1;
    for (int d = v.ndim - 1; d >= 0; --d) view.stride[d] = stride, stride *= v.size[d];
    kernels::copy(view, v);
  }
  std::vector<float> values;
  View view;
};

/// Mixed precision: halves with a loss in f32, which the CPU has only by way of copies; and room
/// between the rows of a gradient.
void check_mixed_cross_entropy(Suite& s) {
  CrossEntropy o;
  o.label_smoothing = 0.1;
  const auto logits = [](View v) {
    v.ndim = 3;
    v.size[2] = v.stride[2] = 1;
    return v;
  };
  const auto forward = [=](const Views& v) {
    const View x = logits(v[2]);
    if (v[0].device.type != DeviceType::cpu)
      return kernels::cross_entropy(v[0], v[1], x, v[3], v[4], o);
    kernels::cross_entropy(v[0], v[1], Wide(x).view, v[3], v[4], o);
  };
  const auto backward = [=](const Views& v) {
    const View dx = logits(v[0]), x = logits(v[3]);
    if (v[0].device.type != DeviceType::cpu)
      return kernels::cross_entropy_backward(dx, v[1], v[2], x, v[4], v[5], o);
    const Wide wide(x);
    kernels::cross_entropy_backward(wide.view, v[1], v[2], Wide(x).view, v[4], v[5], o);
    kernels::copy(dx, wide.view);
  };
  for (const DType t : {DType::bf16, DType::f16})
    for (const Sizes& x : {Sizes{37, 10}, Sizes{5, 1501}, Sizes{9, 43}})
      for (const Lay lay : {Lay::plain, Lay::rows, Lay::off}) {
        const Sizes rows = {x[0], 1};
        const Operand target = in(DType::i64, rows, integers(0, x[1])),
                      weight = in(DType::f32, {x[1]}, uniform(0.5, 2)),
                      lse = in(DType::f32, rows, uniform(2, 4));
        if (lay == Lay::plain)
          s.check(kernels::cross_entropy, "mixed",
                  {out(DType::f32, {}), out(DType::f32, rows), in(t, x), target, weight}, 4,
                  forward);
        s.check(kernels::cross_entropy_backward, "mixed",
                {out(t, x, lay), in(DType::f32, {}), lse, in(t, x), target, weight}, 4, backward);
      }
}

std::vector<double> numbers(const TensorStatistics& s) {
  return {static_cast<double>(s.numel), static_cast<double>(s.finite), static_cast<double>(s.nan),
          static_cast<double>(s.inf), static_cast<double>(s.zero)};
}

void check_statistics_of(Suite& s, DType t, const Operand& x) {
  for (const bool all : {true, false}) {
    const auto& k = all ? kernels::statistics : kernels::moments;
    s.check(k, "counts and histogram", {x}, 0, [&k, all](const Views& v) {
      TensorStatistics r;
      uint32_t bins[kHistogramBins] = {};
      k(v[0], &r, bins);
      std::vector<double> n = numbers(r);
      n.insert(n.end(), bins, bins + kHistogramBins);
      n.insert(n.end(), {r.min, r.max});
      return n;
    });
    for (const int which : {0, 1, 2, 3, 4})
      s.check(k, fmt::format("number {}", which), {x}, t == DType::f64 ? 10 : 1,
              [&k, which](const Views& v) -> std::vector<double> {
                TensorStatistics r;
                k(v[0], &r, nullptr);
                const double values[] = {r.mean, r.second, r.sum, r.l1, r.squares};
                return {values[which]};
              });
  }
}

// More than one launch takes, of which some cannot share one.
void check_statistics_records(Suite& s) {
  std::vector<Operand> many;
  for (int64_t i = 0; i < 150; ++i) {
    const DType t = kFloats[i % std::size(kFloats)];
    many.push_back(i == 40 ? in(t, {30, 20}, Lay::gaps) : in(t, {i == 50 ? 9001 : i % 9 * 17}));
  }
  s.check(kernels::statistics_records, "150 tensors", many, 1, [](const Views& v) {
    std::vector<StatisticsTask> tasks;
    for (const View& x : v) tasks.push_back({x, tasks.size() % 3 != 0, tasks.size() % 2 == 0});
    const auto bytes = static_cast<int64_t>(v.size() * sizeof(StatisticsRecord));
    const Tensor out = empty({bytes}, {DType::u8, v[0].device});
    kernels::statistics_records(out, tasks);
    const Tensor here = moved(out, Device{});
    const auto* records = here.data<const StatisticsRecord>();
    std::vector<double> all;
    for (size_t i = 0; i < v.size(); ++i) {
      const TensorStatistics one = statistics_of(records[i], v[i].numel());
      for (double x : numbers(one)) all.push_back(x);
      for (double x : {one.mean, one.second, one.sum, one.l1, one.squares}) all.push_back(x);
      if (tasks[i].histogram)
        all.insert(all.end(), records[i].bins, records[i].bins + kHistogramBins);
    }
    return all;
  });
}

void check_difference(Suite& s) {
  for (const DType t : {DType::f32, DType::bf16, DType::f16, DType::f64, DType::i64, DType::i32,
                        DType::i16, DType::i8, DType::u8})
    for (const DType u : {t, DType::f32})
      for (const int64_t n : {int64_t{0}, int64_t{5}, int64_t{3000}})
        for (const bool exact : {true, false}) {
          const Contents v = is_floating(t) && is_floating(u) ? specials() : integers(0, 6);
          Tolerance tolerance;
          tolerance.exact = exact;
          tolerance.rtol = 0.1;
          tolerance.ulp = 2;
          s.check(kernels::difference, exact ? "exact" : "", {in(t, {n}, v), in(u, {n}, v)}, 1,
                  [tolerance](const Views& v) -> std::vector<double> {
                    TensorDifference d;
                    kernels::difference(v[0], v[1], tolerance, &d);
                    return {static_cast<double>(d.numel),
                            static_cast<double>(d.changed),
                            static_cast<double>(d.beyond),
                            static_cast<double>(d.worst),
                            static_cast<double>(d.nan),
                            static_cast<double>(d.max_ulp),
                            d.max_abs};
                  });
        }
}

void check_power_sums(Suite& s) {
  for (const DType t : kFloats)
    for (const double p : {1.0, 2.0, 3.0, std::numeric_limits<double>::infinity()}) {
      const auto sums = [p](const Views& v) {
        std::vector<double> all(v.size(), -1);
        kernels::power_sums(v[0], v, p, all.data());
        return all;
      };
      const std::string note = fmt::format("p {}", p);
      for (const int64_t n : {int64_t{0}, int64_t{1}, int64_t{999}, int64_t{70001}})
        s.check(kernels::power_sums, note, {in(t, {n})}, 1, sums);
      // More than one launch takes.
      std::vector<Operand> many;
      for (int64_t i = 0; i < 200; ++i)
        many.push_back(in(t, {i == 50 ? 9001 : i % 9 * 17}, i % 7 == 3 ? Lay::off : Lay::plain));
      s.check(kernels::power_sums, note + " 200 tensors", many, 1, sums);
      s.check(kernels::power_sums, note, {in(t, {5}), in(t, {4099}, specials()), in(t, {5})}, 1,
              sums);
    }
}

}  // namespace

void check_reductions(Suite& s) {
  check_reduce(s);
  check_along(s);
}

void check_classes(Suite& s) {
  check_softmax(s);
  check_cross_entropy(s);
  check_mixed_cross_entropy(s);
}

void check_statistics(Suite& s) {
  for (const DType t : {DType::f32, DType::bf16, DType::f16, DType::f64}) {
    check_statistics_of(s, t, in(t, {13}));
    check_statistics_of(s, t, in(t, {9001}, uniform(10, 11)));
    check_statistics_of(s, t, in(t, {9001}, specials()));
    check_statistics_of(s, t, in(t, {40, 50}, Lay::gaps));
    check_statistics_of(s, t, in(t, {0}));
  }
  for (const DType t : {DType::i64, DType::i32, DType::i16, DType::i8, DType::u8, DType::b8})
    check_statistics_of(s, t, in(t, {777}, integers(0, 2)));
  check_statistics_records(s);
  check_difference(s);
  check_power_sums(s);
}

}  // namespace nnm::run
