// Cases of embeddings, elements by index, and attention.
#include <fmt/format.h>

#include <utility>

#include "kernels/attention.h"
#include "kernels/embedding.h"
#include "kernels/gather.h"
#include "nnm/run/selftest/suite.h"

namespace nnm::run {

namespace {

constexpr DType kAll[] = {DType::f32, DType::f64, DType::bf16, DType::f16, DType::i64,
                          DType::i32, DType::i16, DType::i8,   DType::u8,  DType::b8};

Contents numbers(DType t) { return is_floating(t) ? Contents{} : integers(0, 100); }

/// Sums in the order of the CPU's: the same bits, but for bf16 and f16, which it rounds in between.
double same_sums(DType t) { return item_size(t) == 2 && is_floating(t) ? 4 : 0; }

void check_embedding(Suite& s) {
  struct Table {
    int64_t rows, width, n, padding;
  };
  for (const DType t : kFloats) {
    for (const Table& c : {Table{11, 1, 17, -1}, Table{7, 3, 400, 2}, Table{300, 40, 2500, 17},
                           Table{70000, 8, 50, -1}, Table{1, 200, 9, -1}, Table{4, 6, 0, -1},
                           Table{40, 520, 90, 3}, Table{3, 264, 150, 1}, Table{2, 136, 66, -1}}) {
      const Operand at = in(DType::i64, {c.n}, integers(0, c.rows));
      s.check(kernels::embedding, "", {out(t, {c.n, c.width}), in(t, {c.rows, c.width}), at}, 0,
              [](const Views& v) { kernels::embedding(v[0], v[1], v[2]); });
      const int64_t padding = c.padding;
      s.check(kernels::embedding_backward, fmt::format("padding {}", padding),
              {out(t, {c.rows, c.width}), in(t, {c.n, c.width}), at}, 4, [padding](const Views& v) {
                kernels::embedding_backward(v[0], v[1], v[2], padding);
              });
    }
  }
}

void check_bounded(Suite& s) {
  for (const int64_t n : {int64_t{0}, int64_t{1}, int64_t{1000}})
    for (const auto& [low, high] : {std::pair<int64_t, int64_t>{0, 7}, {-2, 9}}) {
      const Operand at = in(DType::i64, {n}, integers(low, high));
      s.check(kernels::bounded_indices, "",
              {out(DType::i64, {n}), at, both(DType::i64, {1}, integers(0, 1))}, 0,
              [](const Views& v) { kernels::bounded_indices(v[0], v[1], v[2], 7, -2); });
    }
}

void check_gather(Suite& s) {
  const Sizes x = {4, 5, 6}, picked = {3, 4, 5};
  for (const DType t : kAll) {
    for (int64_t dim = 0; dim < 3; ++dim) {
      const int64_t n = x[static_cast<size_t>(dim)];
      for (const Lay lay : {Lay::plain, Lay::turned, Lay::gaps}) {
        const Operand at = in(DType::i64, picked, lay, integers(0, n));
        s.check(kernels::gather, fmt::format("dim {}", dim),
                {out(t, picked), in(t, x, lay, numbers(t)), at}, 0,
                [dim](const Views& v) { kernels::gather(v[0], v[1], v[2], dim); });
        for (const bool accumulate : {false, true})
          s.check(kernels::scatter, fmt::format("dim {}{}", dim, accumulate ? ", added" : ""),
                  {both(t, x, numbers(t), lay), at, in(t, picked, numbers(t))},
                  accumulate ? same_sums(t) : 0, [dim, accumulate](const Views& v) {
                    kernels::scatter(v[0], v[1], v[2], dim, accumulate);
                  });
      }
    }
  }
  s.check(
      kernels::scatter, "one in each row",
      {both(DType::f32, {40, 7}), in(DType::i64, {40, 1}, integers(0, 7)), in(DType::f32, {40, 1})},
      0, [](const Views& v) { kernels::scatter(v[0], v[1], v[2], 1, true); });
  s.check(kernels::scatter, "many to few",
          {both(DType::f32, {3}), in(DType::i64, {5000}, integers(0, 3)), in(DType::f32, {5000})},
          0, [](const Views& v) { kernels::scatter(v[0], v[1], v[2], 0, true); });
}

/// A row, a column or an element of a matrix, which offsets move.
View window(View matrix, int dims, int kept) {
  matrix.size[0] = matrix.size[kept];
  matrix.stride[0] = matrix.stride[kept];
  matrix.ndim = dims;
  return matrix;
}

void check_windows(Suite& s) {
  struct Moved {
    const char* name;
    int dims, kept;
    int64_t offsets;
  };
  for (const DType t : kAll) {
    for (const Moved& m : {Moved{"columns", 1, 0, 6}, Moved{"elements", 0, 0, 42}}) {
      Sizes src = {90};
      if (m.dims == 1) src.push_back(7);
      const Operand at = in(DType::i64, {90}, integers(0, m.offsets));
      s.check(kernels::take, m.name, {out(t, src), in(t, {7, 6}, numbers(t)), at}, 0,
              [m](const Views& v) { kernels::take(v[0], window(v[1], m.dims, m.kept), v[2]); });
      for (const bool accumulate : {false, true})
        s.check(kernels::put, fmt::format("{}{}", m.name, accumulate ? ", added" : ""),
                {both(t, {7, 6}, numbers(t)), in(t, src, numbers(t)), at},
                accumulate ? same_sums(t) : 0, [m, accumulate](const Views& v) {
                  kernels::put(window(v[0], m.dims, m.kept), v[1], v[2], accumulate);
                });
    }
  }
}

void check_triangle(Suite& s) {
  for (const DType t : kAll)
    for (const Lay lay : {Lay::plain, Lay::turned})
      for (const bool upper : {false, true})
        for (const int64_t diagonal : {-5, -1, 0, 2, 9})
          s.check(kernels::triangle, fmt::format("{} {}", upper ? "upper" : "lower", diagonal),
                  {out(t, {3, 4, 6}), in(t, {3, 4, 6}, lay, numbers(t))}, 0,
                  [diagonal, upper](const Views& v) {
                    kernels::triangle(v[0], v[1], diagonal, upper);
                  });
}

struct Attended {
  int64_t batch, heads, queries, keys, width, values;
  Attention p;
};

/// How q, k and v, and the results, lie.
struct AttendedLays {
  Lay q, k, v, y;
};

void check_attention_case(Suite& s, const Attended& c, const Operand& mask, DType t,
                          const std::string& note,
                          const AttendedLays& lay = {Lay::plain, Lay::gaps, Lay::rows,
                                                     Lay::plain}) {
  const Sizes q = {c.batch, c.heads, c.queries, c.width}, k = {c.batch, c.heads, c.keys, c.width},
              v = {c.batch, c.heads, c.keys, c.values}, y = {c.batch, c.heads, c.queries, c.values},
              rows = {c.batch, c.heads, c.queries};
  const DType stats = t == DType::f64 ? t : DType::f32;
  const Attention p = c.p;
  s.check(
      kernels::attention, note,
      {out(t, y, lay.y), out(stats, rows), in(t, q, lay.q), in(t, k, lay.k), in(t, v, lay.v), mask},
      4, [p](const Views& o) { kernels::attention(o[0], o[1], o[2], o[3], o[4], o[5], p); });
  // Results of the forward pass, on the device at hand, into the last two operands.
  s.check(kernels::attention_backward, note,
          {out(t, q), out(t, k, lay.y), out(t, v), in(t, y, lay.y), in(t, q, lay.y),
           in(t, k, lay.y), in(t, v, lay.y), mask, out(t, y, lay.y), out(stats, rows)},
          8, [p](const Views& o) {
            kernels::attention(o[8], o[9], o[4], o[5], o[6], o[7], p);
            kernels::attention_backward(o[0], o[1], o[2], o[3], o[8], o[9], o[4], o[5], o[6], o[7],
                                        p);
          });
}

/// Of 16-bit types, as tensor cores do it: tiles of queries and keys at their ends and causal
/// diagonals, heads that are strided slices, widths that are no multiples of 8.
void check_attention_tiles(Suite& s) {
  constexpr AttendedLays kPacked = {Lay::heads, Lay::heads, Lay::heads, Lay::heads};
  constexpr AttendedLays kDense = {Lay::plain, Lay::heads, Lay::plain, Lay::plain};
  const auto settings = [](double scale, bool causal, double dropout) {
    return Attention{scale, causal, dropout, 1234567, 40};
  };
  for (const DType t : {DType::bf16, DType::f16}) {
    for (const Attended& c : {Attended{1, 2, 200, 200, 64, 64, settings(0.125, true, 0)},
                              Attended{1, 2, 65, 190, 40, 37, settings(0.2, false, 0)},
                              Attended{1, 1, 140, 97, 13, 128, settings(0.3, true, 0)},
                              Attended{1, 1, 33, 257, 128, 72, settings(0.1, true, 0)},
                              Attended{1, 2, 130, 70, 80, 80, settings(0.1, false, 0)},
                              Attended{2, 1, 3, 0, 8, 8, settings(1, false, 0)},
                              Attended{1, 3, 1, 1, 1, 1, settings(1, true, 0)},
                              Attended{2, 2, 67, 71, 24, 15, settings(0.4, true, 0.3)},
                              Attended{2, 1, 66, 136, 100, 16, settings(0.2, false, 0.5)},
                              Attended{1, 1, 5, 8, 8, 8, settings(0.2, false, 1)}})
      check_attention_case(
          s, c, absent(), t,
          fmt::format("{}, dropout {}", c.p.causal ? "causal" : "plain", c.p.dropout_p), kPacked);
    const Attended c{2, 2, 70, 90, 16, 24, settings(0.4, false, 0)};
    const Sizes scores = {2, 2, 70, 90};
    check_attention_case(s, c, absent(), t, "dense", kDense);
    check_attention_case(s, c, in(t, scores), t, "added mask", kPacked);
    check_attention_case(s, c, spread(in(DType::b8, scores, Lay::turned, integers(0, 2)), 2), t,
                         "mask of all heads", kPacked);
    check_attention_case(s, c, in(DType::b8, scores, integers(0, 1)), t, "no key seen", kPacked);
    const Attended wide{1, 1, 20, 70, 128, 96, settings(0.1, false, 0.2)};
    check_attention_case(s, wide, in(DType::b8, {1, 1, 20, 70}, integers(0, 2)), t,
                         "mask and dropout", kPacked);
    const Attention p = c.p;
    s.check(kernels::attention, "NaN and infinities in a query stay in its row",
            {out(t, {1, 1, 40, 8}), out(DType::f32, {1, 1, 40}), in(t, {1, 1, 40, 8}, specials()),
             in(t, {1, 1, 70, 8}), in(t, {1, 1, 70, 8}), absent()},
            4, [p](const Views& v) { kernels::attention(v[0], v[1], v[2], v[3], v[4], v[5], p); });
  }
}

void check_attention(Suite& s) {
  const auto settings = [](double scale, bool causal, double dropout) {
    Attention p;
    p.scale = scale;
    p.causal = causal;
    p.dropout_p = dropout;
    p.seed = 1234567;
    p.offset = 40;
    return p;
  };
  for (const DType t : kFloats) {
    for (const Attended& c : {Attended{2, 3, 5, 7, 4, 4, settings(0.5, false, 0)},
                              Attended{1, 2, 70, 130, 20, 24, settings(0.2, false, 0)},
                              Attended{1, 2, 130, 130, 64, 64, settings(0.125, true, 0)},
                              Attended{1, 1, 66, 40, 8, 8, settings(0.4, true, 0)},
                              Attended{1, 1, 9, 10, 70, 150, settings(0.1, false, 0)},
                              Attended{2, 2, 67, 71, 6, 5, settings(0.4, true, 0.3)},
                              Attended{2, 1, 3, 0, 4, 4, settings(1, false, 0)}})
      check_attention_case(
          s, c, absent(), t,
          fmt::format("{}, dropout {}", c.p.causal ? "causal" : "plain", c.p.dropout_p));
    const Attended c{2, 2, 6, 9, 5, 7, settings(0.4, false, 0)};
    const Sizes scores = {2, 2, 6, 9};
    check_attention_case(s, c, in(t, scores), t, "added mask");
    check_attention_case(s, c, spread(in(DType::b8, scores, integers(0, 2)), 2), t,
                         "mask of all heads");
    check_attention_case(s, c, in(DType::b8, scores, integers(0, 1)), t, "no key seen");
    const Attention p = c.p;
    s.check(kernels::attention, "NaN and infinities in a query stay in its row",
            {out(t, {2, 2, 6, 7}), out(t == DType::f64 ? t : DType::f32, {2, 2, 6}),
             in(t, {2, 2, 6, 5}, specials()), in(t, {2, 2, 9, 5}), in(t, {2, 2, 9, 7}), absent()},
            4, [p](const Views& v) { kernels::attention(v[0], v[1], v[2], v[3], v[4], v[5], p); });
  }
}

}  // namespace

void check_indices(Suite& s) {
  check_embedding(s);
  check_bounded(s);
  check_gather(s);
  check_windows(s);
  check_triangle(s);
  check_attention(s);
  check_attention_tiles(s);
}

}  // namespace nnm::run
