// Steps of recurrent layers, row by row.
#include "kernels/recurrent.h"

#include <algorithm>

#include "kernels/cpu/dtype.h"
#include "kernels/cpu/math.h"
#include "kernels/parallel.h"
#include "kernels/recurrent_formulas.h"

namespace nnm {
namespace {

constexpr int64_t kGrain = 2048;
constexpr int64_t kBlock = 256;  // columns whose copies in f32 fit into L1

/// A piece of a row, at most kBlock columns, in the computing type: memory itself, or of half types
/// a copy, which `keep` writes back.
template <class T>
struct Piece {
  using C = Compute<T>;
  Piece(const View& v, int64_t row, int64_t column, int64_t n)
      : at(v.as<T>() + row * v.stride[0] + column), n(n) {
    if constexpr (kIsHalf<T>) {
      p = buffer;
      for (int64_t i = 0; i < n; ++i) buffer[i] = static_cast<float>(at[i]);
    } else {
      p = at;
    }
  }
  Piece(const Piece&) = delete;
  void keep() const {
    if constexpr (kIsHalf<T>)
      for (int64_t i = 0; i < n; ++i) at[i] = T(p[i]);
  }
  T* at;
  int64_t n;
  C* p;
  C buffer[kIsHalf<T> ? kBlock : 1];
};

/// body(row, column, n) over pieces of the rows of v (N, H).
template <class Body>
void by_pieces(const View& v, const Body& body) {
  const int64_t rows = v.size[0], wide = v.size[1];
  if (rows == 0 || wide == 0) return;
  parallel_for(rows, (kGrain + wide - 1) / wide, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row)
      for (int64_t column = 0; column < wide; column += kBlock)
        body(row, column, std::min(kBlock, wide - column));
  });
}

template <class C>
void lstm_forward(C* __restrict h, C* __restrict c, C* __restrict i, C* __restrict f,
                  C* __restrict g, C* __restrict o, const C* __restrict before, int64_t n) {
#pragma omp simd
  for (int64_t k = 0; k < n; ++k) {
    const LstmGates<C> v = lstm_values<C>({i[k], f[k], g[k], o[k]});
    i[k] = v.i, f[k] = v.f, g[k] = v.g, o[k] = v.o;
    c[k] = v.f * before[k] + v.i * v.g;
    h[k] = v.o * m::tanh(c[k]);
  }
}

void lstm_step_cpu(const View& h, const View& c, const View& gates, const View& before) {
  const int64_t wide = h.size[1];
  by_floating(h.dtype, [&]<class T>() {
    by_pieces(h, [&](int64_t row, int64_t j, int64_t n) {
      const Piece<T> i(gates, row, j, n), f(gates, row, wide + j, n),
          g(gates, row, 2 * wide + j, n), o(gates, row, 3 * wide + j, n), b(before, row, j, n),
          ch(h, row, j, n), cc(c, row, j, n);
      lstm_forward<Compute<T>>(ch.p, cc.p, i.p, f.p, g.p, o.p, b.p, n);
      for (const Piece<T>* p : {&i, &f, &g, &o, &ch, &cc}) p->keep();
    });
  });
}

template <class C>
void lstm_gradient(C* const (&d)[4], const C* const (&v)[4], C* __restrict dc,
                   const C* __restrict c, const C* __restrict before, const C* __restrict dh,
                   const C* __restrict carry, int64_t n) {
  C* __restrict di = d[0], * __restrict df = d[1], * __restrict dg = d[2], * __restrict out = d[3];
  const C *i = v[0], *f = v[1], *g = v[2], *o = v[3];
#pragma omp simd
  for (int64_t k = 0; k < n; ++k) {
    C state = dc[k];
    const LstmGates<C> s =
        lstm_slopes<C>({i[k], f[k], g[k], o[k]}, c[k], before[k], dh[k] + carry[k], state);
    dc[k] = state;
    di[k] = s.i, df[k] = s.f, dg[k] = s.g, out[k] = s.o;
  }
}

void lstm_step_backward_cpu(const View& d_gates, const View& d_c, const View& gates, const View& c,
                            const View& before, const View& dh, const View& carry) {
  const int64_t wide = d_c.size[1];
  by_floating(d_c.dtype, [&]<class T>() {
    by_pieces(d_c, [&](int64_t row, int64_t j, int64_t n) {
      const auto gate = [&](const View& v, int64_t k) { return Piece<T>(v, row, k * wide + j, n); };
      const Piece<T> di = gate(d_gates, 0), df = gate(d_gates, 1), dg = gate(d_gates, 2),
                     out = gate(d_gates, 3), i = gate(gates, 0), f = gate(gates, 1),
                     g = gate(gates, 2), o = gate(gates, 3), dc(d_c, row, j, n), cc(c, row, j, n),
                     b(before, row, j, n), ch(dh, row, j, n), cr(carry, row, j, n);
      lstm_gradient<Compute<T>>({di.p, df.p, dg.p, out.p}, {i.p, f.p, g.p, o.p}, dc.p, cc.p, b.p,
                                ch.p, cr.p, n);
      for (const Piece<T>* p : {&di, &df, &dg, &out, &dc}) p->keep();
    });
  });
}

template <class C>
void gru_forward(C* __restrict h, C* const (&gates)[3], const C* const (&state)[3],
                 const C* __restrict before, int64_t n) {
  C* __restrict r = gates[0], * __restrict z = gates[1], * __restrict x = gates[2];
  const C *sr = state[0], *sz = state[1], *sn = state[2];
#pragma omp simd
  for (int64_t k = 0; k < n; ++k) {
    const GruGates<C> v = gru_values<C>({r[k], z[k], x[k]}, {sr[k], sz[k], sn[k]});
    r[k] = v.r, z[k] = v.z, x[k] = v.n;
    h[k] = v.n + v.z * (before[k] - v.n);
  }
}

void gru_step_cpu(const View& h, const View& gates, const View& state, const View& before) {
  const int64_t wide = h.size[1];
  by_floating(h.dtype, [&]<class T>() {
    by_pieces(h, [&](int64_t row, int64_t j, int64_t n) {
      const auto gate = [&](const View& v, int64_t k) { return Piece<T>(v, row, k * wide + j, n); };
      const Piece<T> r = gate(gates, 0), z = gate(gates, 1), x = gate(gates, 2),
                     sr = gate(state, 0), sz = gate(state, 1), sn = gate(state, 2),
                     b(before, row, j, n), ch(h, row, j, n);
      gru_forward<Compute<T>>(ch.p, {r.p, z.p, x.p}, {sr.p, sz.p, sn.p}, b.p, n);
      for (const Piece<T>* p : {&r, &z, &x, &ch}) p->keep();
    });
  });
}

/// What gru_gradient reads of a step.
template <class C>
struct GruStep {
  const C *r, *z, *n, *state_n, *before, *dh;
};

template <class C>
void gru_gradient(C* const (&gates)[3], C* const (&state)[3], C* __restrict carry,
                  const GruStep<C>& s, int64_t n) {
  C* __restrict dr = gates[0], * __restrict dz = gates[1], * __restrict dn = gates[2];
  C* __restrict er = state[0], * __restrict ez = state[1], * __restrict en = state[2];
#pragma omp simd
  for (int64_t k = 0; k < n; ++k) {
    C d = s.dh[k] + carry[k], d_state;
    const GruGates<C> g =
        gru_slopes<C>({s.r[k], s.z[k], s.n[k]}, s.state_n[k], s.before[k], d, d_state);
    carry[k] = d;
    dr[k] = er[k] = g.r, dz[k] = ez[k] = g.z, dn[k] = g.n, en[k] = d_state;
  }
}

void gru_step_backward_cpu(const View& d_gates, const View& d_state, const View& carry,
                           const View& gates, const View& state, const View& before,
                           const View& dh) {
  const int64_t wide = carry.size[1];
  by_floating(carry.dtype, [&]<class T>() {
    by_pieces(carry, [&](int64_t row, int64_t j, int64_t n) {
      const auto gate = [&](const View& v, int64_t k) { return Piece<T>(v, row, k * wide + j, n); };
      const Piece<T> dr = gate(d_gates, 0), dz = gate(d_gates, 1), dn = gate(d_gates, 2),
                     er = gate(d_state, 0), ez = gate(d_state, 1), en = gate(d_state, 2),
                     r = gate(gates, 0), z = gate(gates, 1), x = gate(gates, 2),
                     sn = gate(state, 2), b(before, row, j, n), ch(dh, row, j, n),
                     cr(carry, row, j, n);
      gru_gradient<Compute<T>>({dr.p, dz.p, dn.p}, {er.p, ez.p, en.p}, cr.p,
                               {r.p, z.p, x.p, sn.p, b.p, ch.p}, n);
      for (const Piece<T>* p : {&dr, &dz, &dn, &er, &ez, &en, &cr}) p->keep();
    });
  });
}

NNM_KERNEL(lstm_step, lstm_step_cpu);
NNM_KERNEL(lstm_step_backward, lstm_step_backward_cpu);
NNM_KERNEL(gru_step, gru_step_cpu);
NNM_KERNEL(gru_step_backward, gru_step_backward_cpu);

}  // namespace
}  // namespace nnm
