// Cases of pointwise kernels: types, broadcasts, layouts, sizes around those of packs.
#include "kernels/pointwise.h"

#include "kernels/activation.h"
#include "kernels/loss.h"
#include "nnm/run/selftest/suite.h"

namespace nnm::run {

namespace {

constexpr const char* kUnaryNames[] = {
#define NNM_UNARY(name, ...) #name,
#include "kernels/pointwise.def"
#undef NNM_UNARY
};
constexpr const char* kActivationNames[] = {
#define NNM_ACTIVATION(name, ...) #name,
#include "kernels/activation.def"
#undef NNM_ACTIVATION
};
constexpr const char* kLossNames[] = {
#define NNM_LOSS(name, ...) #name,
#include "kernels/loss.def"
#undef NNM_LOSS
};
constexpr const char* kBinaryNames[] = {
    "add",
#define NNM_BINARY(name) #name,
#include "kernels/binary.def"
#undef NNM_BINARY
};

constexpr DType kIntegers[] = {DType::i64, DType::i32, DType::i16, DType::i8, DType::u8, DType::b8};
constexpr Lay kLays[] = {Lay::plain, Lay::turned, Lay::gaps, Lay::rows, Lay::off};

/// Where an op is defined, so that NaN does not hide differences.
Contents domain(Unary f) {
  switch (f) {
    case Unary::acosh: return uniform(1.1, 3);
    case Unary::acos:
    case Unary::asin:
    case Unary::atanh:
    case Unary::erfinv: return uniform(-0.9, 0.9);
    case Unary::log:
    case Unary::log2:
    case Unary::log10:
    case Unary::log1p:
    case Unary::sqrt:
    case Unary::rsqrt:
    case Unary::reciprocal: return uniform(0.1, 4);
    case Unary::tan: return uniform(-1.2, 1.2);
    default: return {};
  }
}

void check_unary(Suite& s) {
  for (int i = 0; i < static_cast<int>(std::size(kUnaryNames)); ++i) {
    const auto f = static_cast<Unary>(i);
    const auto call = [f](const Views& v) { kernels::unary(v[0], v[1], f); };
    const auto back = [f](const Views& v) { kernels::unary_backward(v[0], v[1], v[2], f); };
    for (const DType t : kFloats) {
      s.check(kernels::unary, kUnaryNames[i], {out(t, {1027}), in(t, {1027}, domain(f))}, 2, call);
      s.check(kernels::unary, kUnaryNames[i],
              {out(t, {5, 9}), in(t, {5, 9}, Lay::turned, domain(f))}, 2, call);
      s.check(kernels::unary_backward, kUnaryNames[i],
              {out(t, {515}), in(t, {515}), in(t, {515}, domain(f))}, 2, back);
      s.check(kernels::unary_backward, kUnaryNames[i],
              {out(t, {5, 9}), spread(in(t, {5, 9}), 3), in(t, {5, 9}, Lay::gaps, domain(f))}, 2,
              back);
    }
    s.check(kernels::unary, std::string(kUnaryNames[i]) + " of specials",
            {out(DType::f32, {300}), in(DType::f32, {300}, specials())}, 2, call);
  }
  for (const Unary f : {Unary::abs, Unary::neg, Unary::sign, Unary::square, Unary::relu})
    for (const DType t : {DType::i64, DType::i32})
      s.check(kernels::unary, kUnaryNames[static_cast<int>(f)],
              {out(t, {77}), in(t, {77}, integers(-9, 9))}, 0,
              [f](const Views& v) { kernels::unary(v[0], v[1], f); });
}

void check_binary_op(Suite& s, Binary f, const char* name) {
  const auto call = [f](DType compute, double alpha = 1) {
    return [f, compute, alpha](const Views& v) {
      kernels::binary(v[0], v[1], v[2], f, compute, alpha);
    };
  };
  const bool compares = f >= Binary::eq;
  const Contents a = f == Binary::pow ? uniform(0.1, 3) : Contents{},
                 b = f == Binary::floor_divide || f == Binary::remainder ? uniform(0.3, 3)
                                                                         : Contents{};
  for (const DType t : kFloats) {
    const DType to = compares ? DType::b8 : t;
    for (const int64_t n : {int64_t{1}, int64_t{7}, int64_t{1026}})
      s.check(kernels::binary, name, {out(to, {n}), in(t, {n}, a), in(t, {n}, b)}, 2,
              call(compute_type(t)));
    s.check(kernels::binary, name,
            {out(to, {6, 16}), in(t, {6, 16}, a), spread(in(t, {6, 16}, b), 1)}, 2,
            call(compute_type(t)));
    s.check(kernels::binary, name,
            {out(to, {6, 5}), spread(in(t, {6, 5}, a), 2), spread(in(t, {6, 5}, b), 3)}, 2,
            call(compute_type(t)));
  }
  const DType to = compares ? DType::b8 : DType::f32;
  for (const Lay lay : kLays)
    s.check(kernels::binary, name,
            {out(to, {3, 4, 10}, lay), in(DType::f32, {3, 4, 10}, lay, a),
             in(DType::f32, {3, 4, 10}, b)},
            2, call(DType::f32));
  s.check(kernels::binary, std::string(name) + " mixed",
          {out(to, {99}), in(DType::bf16, {99}, a), in(DType::f32, {99}, b)}, 2, call(DType::f32));
  if (f != Binary::div && f != Binary::atan2)
    for (const DType t : kIntegers)
      s.check(kernels::binary, name,
              {out(compares ? DType::b8 : t, {131}), in(t, {131}, integers(0, 7)),
               in(t, {131}, integers(0, 5))},
              0, call(DType::i64));
  if (f == Binary::add)
    s.check(kernels::binary, "a - 0.5 b",
            {out(DType::f32, {1000}), in(DType::f32, {1000}), in(DType::f32, {1000})}, 2,
            call(DType::f32, -0.5));
  s.check(kernels::binary, name, {out(to, {0, 3}), in(DType::f32, {0, 3}), in(DType::f32, {0, 3})},
          2, call(DType::f32));
  if (f == Binary::maximum || f == Binary::minimum || compares)
    s.check(kernels::binary, std::string(name) + " of specials",
            {out(to, {400}), in(DType::f32, {400}, specials()), in(DType::f32, {400}, specials())},
            2, call(DType::f32));
}

void check_where(Suite& s) {
  const auto call = [](const Views& v) { kernels::where(v[0], v[1], v[2], v[3]); };
  for (const DType t : {DType::f32, DType::bf16, DType::f64, DType::i64, DType::u8}) {
    s.check(kernels::where, "",
            {out(t, {5, 33}), in(DType::b8, {5, 33}), in(t, {5, 33}, integers(0, 99)),
             spread(in(t, {5, 33}, integers(0, 99)), 3)},
            0, call);
    s.check(kernels::where, "",
            {out(t, {4, 6}, Lay::turned), spread(in(DType::b8, {4, 6}), 1),
             in(t, {4, 6}, Lay::gaps, integers(0, 99)), in(t, {4, 6}, integers(0, 99))},
            0, call);
  }
}

void check_copy(Suite& s) {
  const auto call = [](const Views& v) { kernels::copy(v[0], v[1]); };
  constexpr DType kAll[] = {DType::f32, DType::f64, DType::bf16, DType::f16, DType::i64,
                            DType::i32, DType::i16, DType::i8,   DType::u8,  DType::b8};
  for (const DType to : kAll)
    for (const DType from : kAll)
      s.check(kernels::copy, "", {out(to, {1029}), in(from, {1029}, integers(0, 100))}, 0, call);
  for (const DType t : {DType::f32, DType::bf16, DType::f64, DType::u8}) {
    for (const Lay to : kLays)
      for (const Lay from : kLays) {
        s.check(kernels::copy, "", {out(t, {3, 5, 16}, to), in(t, {3, 5, 16}, from)}, 0, call);
        s.check(kernels::copy, "", {out(t, {37, 3, 41}, to), in(t, {37, 3, 41}, from)}, 0, call);
      }
    // Long rows that begin at other distances from multiples of 16 bytes than those of the output.
    for (const Lay to : {Lay::plain, Lay::rows, Lay::off})
      for (const Lay from : {Lay::plain, Lay::rows, Lay::off})
        s.check(kernels::copy, "", {out(t, {3, 2051}, to), in(t, {3, 2051}, from)}, 0, call);
    s.check(kernels::copy, "", {out(t, {1, 20011}, Lay::off), in(t, {1, 20011})}, 0, call);
    s.check(kernels::copy, "", {out(t, {6, 32}), spread(in(t, {6, 32}), 1)}, 0, call);
    s.check(kernels::copy, "", {out(t, {6, 32}), spread(in(t, {6, 32}), 2)}, 0, call);
    s.check(kernels::copy, "", {out(t, {7, 33}), spread(in(t, {7, 33}), 3)}, 0, call);
    s.check(kernels::copy, "", {out(t, {0}), in(t, {0})}, 0, call);
    s.check(kernels::copy, "", {out(t, {}), in(t, {})}, 0, call);
  }
  s.check(kernels::copy, "specials", {out(DType::f16, {500}), in(DType::f32, {500}, specials())}, 0,
          call);
  s.check(kernels::copy, "specials", {out(DType::bf16, {500}), in(DType::f32, {500}, specials())},
          0, call);
  s.check(kernels::copy, "fractions",
          {out(DType::i32, {500}), in(DType::f32, {500}, uniform(-9, 9))}, 0, call);
}

void check_fill(Suite& s) {
  for (const DType t : {DType::f32, DType::f64, DType::bf16, DType::f16, DType::i64, DType::i32,
                        DType::i16, DType::i8, DType::u8, DType::b8}) {
    const auto call = [](const Views& v) { kernels::fill(v[0], 2.7, 3); };
    for (const Lay lay : kLays) s.check(kernels::fill, "", {out(t, {7, 31}, lay)}, 0, call);
    s.check(kernels::fill, "", {out(t, {0})}, 0, call);
    s.check(kernels::range, "", {out(t, {100})}, 1,
            [](const Views& v) { kernels::range(v[0], -1, 0.25, 2, 1); });
  }
}

}  // namespace

void check_pointwise(Suite& s) {
  check_unary(s);
  for (int i = 0; i < static_cast<int>(std::size(kBinaryNames)); ++i)
    check_binary_op(s, static_cast<Binary>(i), kBinaryNames[i]);
  check_where(s);
  check_copy(s);
  check_fill(s);
}

void check_activations(Suite& s) {
  const ActivationParams p{0.3, 1.5, 0.7};
  for (int i = 0; i < static_cast<int>(std::size(kActivationNames)); ++i) {
    const auto f = static_cast<Activation>(i);
    const auto call = [f, p](const Views& v) { kernels::activation(v[0], v[1], f, p); };
    const auto back = [f, p](const Views& v) {
      kernels::activation_backward(v[0], v[1], v[2], f, p);
    };
    for (const DType t : kFloats)
      for (const int64_t n : {int64_t{3}, int64_t{1031}}) {
        s.check(kernels::activation, kActivationNames[i], {out(t, {n}), in(t, {n})}, 2, call);
        s.check(kernels::activation_backward, kActivationNames[i],
                {out(t, {n}), in(t, {n}), in(t, {n})}, 2, back);
      }
    s.check(kernels::activation, kActivationNames[i],
            {out(DType::f32, {5, 7}, Lay::turned), in(DType::f32, {5, 7}, Lay::turned)}, 2, call);
    s.check(kernels::activation, kActivationNames[i],
            {out(DType::f32, {21}, Lay::off), in(DType::f32, {21})}, 2, call);
  }
  for (int i = 0; i < static_cast<int>(std::size(kLossNames)); ++i) {
    const auto f = static_cast<Loss>(i);
    const bool log_target = f == Loss::kl_div_log_target;
    const Contents x = f == Loss::binary_cross_entropy ? uniform(0.05, 0.95) : Contents{},
                   t = log_target ? uniform(-3, 0) : uniform(0.05, 0.95);
    const auto call = [f](const Views& v) { kernels::loss(v[0], v[1], v[2], f, 0.7, 0.5); };
    const auto back = [f](const Views& v) {
      kernels::loss_backward(v[0], v[1], v[2], v[3], f, 0.7, 0.5);
    };
    for (const DType type : kFloats) {
      for (const int64_t n : {int64_t{5}, int64_t{9001}})
        s.check(kernels::loss, kLossNames[i], {out(type, {}), in(type, {n}, x), in(type, {n}, t)},
                2, call);
      s.check(kernels::loss, kLossNames[i],
              {out(type, {519}), in(type, {519}, x), in(type, {519}, t)}, 2, call);
      s.check(kernels::loss_backward, kLossNames[i],
              {out(type, {519}), in(type, {519}), in(type, {519}, x), in(type, {519}, t)}, 2, back);
      s.check(kernels::loss_backward, kLossNames[i],
              {out(type, {519}), in(type, {}), in(type, {519}, x), in(type, {519}, t)}, 2, back);
    }
  }
}

}  // namespace nnm::run
