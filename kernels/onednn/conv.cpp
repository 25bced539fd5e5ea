// Convolutions through oneDNN's primitives: images with channels innermost, weights in whatever
// order the primitive likes, reordered from and to row-major around each call.
#include "kernels/onednn/conv.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <oneapi/dnnl/dnnl.hpp>
#include <string>
#include <vector>

#include "kernels/onednn/threads.h"

namespace nnm {
namespace {

using dnnl::convolution_backward_data;
using dnnl::convolution_backward_weights;
using dnnl::convolution_forward;
using dnnl::memory;

enum class Pass : int64_t { forward, backward_input, backward_weight };

// Everything that a primitive is made for.
struct Case {
  Pass pass;
  bool bias;
  memory::dims x, w, y;  ///< w (O, C, KH, KW), or (G, O, C, KH, KW)
  Conv2d p;
  int threads;

  Case(Pass pass, bool bias, const View& x_, const View& w_, const View& y_, const Conv2d& p,
       int threads)
      : pass(pass),
        bias(bias),
        x(x_.size, x_.size + 4),
        w(w_.size, w_.size + 4),
        y(y_.size, y_.size + 4),
        p(p),
        threads(threads) {
    if (p.groups > 1) {
      w[0] /= p.groups;
      w.insert(w.begin(), p.groups);
    }
  }

  using Key = std::array<int64_t, 24>;
  Key key() const {
    Key k{};
    size_t i = 0;
    for (const memory::dims* d : {&x, &w, &y})
      for (int64_t n : *d) k[i++] = n;
    for (int s = 0; s < 2; ++s)
      for (int64_t n : {p.stride[s], p.dilation[s], p.before[s], p.after[s]}) k[i++] = n;
    k[i++] = p.groups;
    k[i] = static_cast<int64_t>(pass) * 2 + bias + 8 * threads;
    return k;
  }
};

memory::desc any_of(const memory::dims& dims) {
  return {dims, memory::data_type::f32, memory::format_tag::any};
}
memory::desc image_of(const memory::dims& dims) {
  return {dims, memory::data_type::f32, memory::format_tag::nhwc};
}
memory::desc plain_weights(const memory::dims& dims) {
  return {dims, memory::data_type::f32,
          dims.size() == 5 ? memory::format_tag::goihw : memory::format_tag::oihw};
}
memory::desc vector_of(int64_t n) { return {{n}, memory::data_type::f32, memory::format_tag::x}; }

const dnnl::engine& cpu() {
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

// A primitive and its order of weights; without a primitive the case is not for oneDNN.
struct Entry {
  dnnl::primitive primitive, reorder;
  int order = 0;   ///< as OneDnn::Order has it
  memory weights;  ///< in that order, where a call has brought none
};

// The orders met, from 1 on.
std::vector<memory::desc>& orders() {
  static auto* all = new std::vector<memory::desc>;
  return *all;
}
memory::desc order_of(int number, const memory::desc& plain) {
  return number == 0 ? plain : orders()[static_cast<size_t>(number - 1)];
}

int number_of(const memory::desc& order) {
  auto& all = orders();
  const auto it = std::find(all.begin(), all.end(), order);
  if (it != all.end()) return static_cast<int>(it - all.begin()) + 1;
  all.push_back(order);
  return static_cast<int>(all.size());
}

// The reference implementations of oneDNN are hundreds of times slower than any other.
bool is_reference(const char* implementation) {
  return std::strncmp(implementation, "ref", 3) == 0;
}

void set_weights(Entry& e, const memory::desc& own, const memory::desc& plain, bool to_own) {
  if (own == plain) return;
  e.order = number_of(own);
  const memory::desc &from = to_own ? plain : own, &to = to_own ? own : plain;
  e.reorder = dnnl::reorder(dnnl::reorder::primitive_desc(cpu(), from, cpu(), to));
}

// oneDNN 3 takes as arguments what oneDNN 2 takes as a description.
template <class Primitive, class... Args>
typename Primitive::primitive_desc described(const Args&... args) {
#if DNNL_VERSION_MAJOR >= 3
  return {cpu(), args...};
#else
  return {typename Primitive::desc(args...), cpu()};
#endif
}

// The same for a backward pass, which follows the choices of its forward pass.
template <class Primitive, class... Args>
typename Primitive::primitive_desc described_after(
    const convolution_forward::primitive_desc& forward, const Args&... args) {
#if DNNL_VERSION_MAJOR >= 3
  return {cpu(), args..., forward};
#else
  return {typename Primitive::desc(args...), cpu(), forward};
#endif
}

Entry make(const Case& c) {
  Entry e;
  const auto kind = dnnl::prop_kind::forward_training;
  const auto algorithm = dnnl::algorithm::convolution_direct;
  const memory::dims s{c.p.stride[0], c.p.stride[1]}, d{c.p.dilation[0] - 1, c.p.dilation[1] - 1},
      l{c.p.before[0], c.p.before[1]}, r{c.p.after[0], c.p.after[1]};
  const memory::desc x = image_of(c.x), w = any_of(c.w), b = vector_of(c.y[1]), y = image_of(c.y);
  const auto forward = c.bias
                           ? described<convolution_forward>(kind, algorithm, x, w, b, y, s, d, l, r)
                           : described<convolution_forward>(kind, algorithm, x, w, y, s, d, l, r);
  const memory::desc plain = plain_weights(c.w);
  if (c.pass == Pass::forward) {
    if (is_reference(forward.impl_info_str())) return e;
    e.primitive = convolution_forward(forward);
    set_weights(e, forward.weights_desc(), plain, true);
  } else if (c.pass == Pass::backward_input) {
    using Backward = convolution_backward_data;
    const auto pd = described_after<Backward>(forward, algorithm, x, w, y, s, d, l, r);
    if (is_reference(pd.impl_info_str())) return e;
    e.primitive = Backward(pd);
    set_weights(e, pd.weights_desc(), plain, true);
  } else {
    using Backward = convolution_backward_weights;
    const auto pd = c.bias ? described_after<Backward>(forward, algorithm, x, w, b, y, s, d, l, r)
                           : described_after<Backward>(forward, algorithm, x, w, y, s, d, l, r);
    if (is_reference(pd.impl_info_str())) return e;
    e.primitive = Backward(pd);
    set_weights(e, pd.diff_weights_desc(), plain, false);
  }
  return e;
}

constexpr size_t kMostEntries = 1024;

// Calls run one at a time: entries own the memory of their weights.
std::mutex mutex;

Entry& entry_of(const Case& c) {
  static auto* entries = new std::map<Case::Key, Entry>;
  const Case::Key key = c.key();
  const auto it = entries->find(key);
  if (it != entries->end()) return it->second;
  if (entries->size() >= kMostEntries) entries->clear();
  Entry e;
  try {
    // A transposed convolution may leave out what would lie behind: not a case for oneDNN.
    if (c.p.after[0] >= 0 && c.p.after[1] >= 0) e = make(c);
  } catch (const dnnl::error&) {
    // oneDNN has no implementation of this case: remembered as such.
  }
  return entries->emplace(key, std::move(e)).first->second;
}

memory on(const memory::desc& d, const View& v) { return {d, cpu(), v.data}; }

// With weights in an order of the primitive's, from and to row-major ones.
void run_reordered(const Case& c, Entry& e, dnnl::stream& stream, memory plain, int weights_arg,
                   std::unordered_map<int, memory> args) {
  if (!e.weights) e.weights = memory(order_of(e.order, plain.get_desc()), cpu());
  const bool writes = c.pass == Pass::backward_weight;
  if (!writes) e.reorder.execute(stream, {{DNNL_ARG_FROM, plain}, {DNNL_ARG_TO, e.weights}});
  args.emplace(weights_arg, e.weights);
  e.primitive.execute(stream, args);
  if (writes) e.reorder.execute(stream, {{DNNL_ARG_FROM, e.weights}, {DNNL_ARG_TO, plain}});
}

// Runs the primitive of `c` on the arguments, of which `weights_arg` is added here: w, or what
// `given` holds in the primitive's order.
bool run(const Case& c, int weights_arg, const View& w, std::unordered_map<int, memory> args,
         const View& given = {}) {
  const std::lock_guard lock(mutex);
  const ThreadScope scope(c.threads);
  Entry& e = entry_of(c);
  if (!e.primitive) return false;
  dnnl::stream stream(cpu());
  const memory::desc plain = plain_weights(c.w);
  if (given || e.order == 0) {
    args.emplace(weights_arg, on(order_of(e.order, plain), given ? given : w));
    e.primitive.execute(stream, args);
  } else {
    run_reordered(c, e, stream, on(plain, w), weights_arg, std::move(args));
  }
  stream.wait();
  return true;
}

}  // namespace

bool onednn_conv2d(const View& y, const View& x, const View& w, const View& own, const View& bias,
                   const Conv2d& p, int threads) {
  const Case c(Pass::forward, bias.data != nullptr, x, w, y, p, threads);
  std::unordered_map<int, memory> args{{DNNL_ARG_SRC, on(image_of(c.x), x)},
                                       {DNNL_ARG_DST, on(image_of(c.y), y)}};
  if (c.bias) args.emplace(DNNL_ARG_BIAS, on(vector_of(c.y[1]), bias));
  return run(c, DNNL_ARG_WEIGHTS, w, std::move(args), own);
}

OneDnn::Order onednn_conv2d_order(const View& y, const View& x, const View& w, const View& bias,
                                  const Conv2d& p, int threads) {
  const std::lock_guard lock(mutex);
  const ThreadScope scope(threads);
  const Case c(Pass::forward, bias.data != nullptr, x, w, y, p, threads);
  const Entry& e = entry_of(c);
  if (!e.primitive) return {-1, 0};
  return {e.order, static_cast<int64_t>(order_of(e.order, plain_weights(c.w)).get_size())};
}

void onednn_conv2d_reorder(const View& own, const View& w, const Conv2d& p, int order,
                           int threads) {
  const std::lock_guard lock(mutex);
  const ThreadScope scope(threads);
  const memory::desc plain = plain_weights(Case(Pass::forward, false, w, w, w, p, threads).w);
  memory from = on(plain, w), to = on(order_of(order, plain), own);
  dnnl::stream stream(cpu());
  dnnl::reorder(from, to).execute(stream, from, to);
  stream.wait();
}

bool onednn_conv2d_backward_input(const View& dx, const View& g, const View& w, const Conv2d& p,
                                  int threads) {
  const Case c(Pass::backward_input, false, dx, w, g, p, threads);
  return run(
      c, DNNL_ARG_WEIGHTS, w,
      {{DNNL_ARG_DIFF_SRC, on(image_of(c.x), dx)}, {DNNL_ARG_DIFF_DST, on(image_of(c.y), g)}});
}

bool onednn_conv2d_backward_weight(const View& dw, const View& dbias, const View& g, const View& x,
                                   const Conv2d& p, int threads) {
  const Case c(Pass::backward_weight, dbias.data != nullptr, x, dw, g, p, threads);
  std::unordered_map<int, memory> args{{DNNL_ARG_SRC, on(image_of(c.x), x)},
                                       {DNNL_ARG_DIFF_DST, on(image_of(c.y), g)}};
  if (c.bias) args.emplace(DNNL_ARG_DIFF_BIAS, on(vector_of(c.y[1]), dbias));
  return run(c, DNNL_ARG_DIFF_WEIGHTS, dw, std::move(args));
}

}  // namespace nnm
