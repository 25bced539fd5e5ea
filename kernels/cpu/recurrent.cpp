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

/// So many columns of a row of (N, wide), at most kBlock.
struct Place {
  int64_t row, column, n, wide;
};

/// What a view has there, or a gate of (N, gates · wide), in the computing type: memory itself, or
/// of half types a copy, which `keep` writes back.
template <class T>
struct Piece {
  using C = Compute<T>;
  Piece(const View& v, const Place& p, int64_t gate = 0)
      : at(v.as<T>() + p.row * v.stride[0] + gate * p.wide + p.column), n(p.n) {
    if constexpr (kIsHalf<T>) {
      values = buffer;
      for (int64_t i = 0; i < n; ++i) buffer[i] = static_cast<float>(at[i]);
    } else {
      values = at;
    }
  }
  Piece(const Piece&) = delete;
  operator C*() const { return values; }
  void keep() const {
    if constexpr (kIsHalf<T>)
      for (int64_t i = 0; i < n; ++i) at[i] = T(values[i]);
  }
  T* at;
  int64_t n;
  C* values;
  C buffer[kIsHalf<T> ? kBlock : 1];
};

/// body(place) over pieces of the rows of v (N, H).
template <class Body>
void by_pieces(const View& v, const Body& body) {
  const int64_t rows = v.size[0], wide = v.size[1];
  if (rows == 0 || wide == 0) return;
  parallel_for(rows, (kGrain + wide - 1) / wide, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row)
      for (int64_t column = 0; column < wide; column += kBlock)
        body(Place{row, column, std::min(kBlock, wide - column), wide});
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
  by_floating(h.dtype, [&]<class T>() {
    by_pieces(h, [&](const Place& p) {
      const Piece<T> i(gates, p, 0), f(gates, p, 1), g(gates, p, 2), o(gates, p, 3), b(before, p),
          ch(h, p), cc(c, p);
      lstm_forward<Compute<T>>(ch, cc, i, f, g, o, b, p.n);
      for (const Piece<T>* piece : {&i, &f, &g, &o, &ch, &cc}) piece->keep();
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
  by_floating(d_c.dtype, [&]<class T>() {
    by_pieces(d_c, [&](const Place& p) {
      const Piece<T> di(d_gates, p, 0), df(d_gates, p, 1), dg(d_gates, p, 2), out(d_gates, p, 3),
          i(gates, p, 0), f(gates, p, 1), g(gates, p, 2), o(gates, p, 3), dc(d_c, p), cc(c, p),
          b(before, p), ch(dh, p), cr(carry, p);
      lstm_gradient<Compute<T>>({di, df, dg, out}, {i, f, g, o}, dc, cc, b, ch, cr, p.n);
      for (const Piece<T>* piece : {&di, &df, &dg, &out, &dc}) piece->keep();
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
  by_floating(h.dtype, [&]<class T>() {
    by_pieces(h, [&](const Place& p) {
      const Piece<T> r(gates, p, 0), z(gates, p, 1), x(gates, p, 2), sr(state, p, 0),
          sz(state, p, 1), sn(state, p, 2), b(before, p), ch(h, p);
      gru_forward<Compute<T>>(ch, {r, z, x}, {sr, sz, sn}, b, p.n);
      for (const Piece<T>* piece : {&r, &z, &x, &ch}) piece->keep();
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
  by_floating(carry.dtype, [&]<class T>() {
    by_pieces(carry, [&](const Place& p) {
      const Piece<T> dr(d_gates, p, 0), dz(d_gates, p, 1), dn(d_gates, p, 2), er(d_state, p, 0),
          ez(d_state, p, 1), en(d_state, p, 2), r(gates, p, 0), z(gates, p, 1), x(gates, p, 2),
          sn(state, p, 2), b(before, p), ch(dh, p), cr(carry, p);
      gru_gradient<Compute<T>>({dr, dz, dn}, {er, ez, en}, cr, {r, z, x, sn, b, ch}, p.n);
      for (const Piece<T>* piece : {&dr, &dz, &dn, &er, &ez, &en, &cr}) piece->keep();
    });
  });
}

NNM_KERNEL(lstm_step, lstm_step_cpu);
NNM_KERNEL(lstm_step_backward, lstm_step_backward_cpu);
NNM_KERNEL(gru_step, gru_step_cpu);
NNM_KERNEL(gru_step_backward, gru_step_backward_cpu);

}  // namespace
}  // namespace nnm
