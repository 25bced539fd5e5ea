// Convolutions handed to cuDNN: which ones, with weights whose channels are innermost as the
// images' are.
#include "kernels/cuda/dnn_conv.h"

#include <algorithm>

#include "kernels/cuda/conv.h"
#include "kernels/cuda/dnn_device.h"
#include "kernels/cuda/plugin.h"
#include "kernels/pointwise.h"
#include "kernels/tf32.h"

namespace nnm::cuda {
namespace {

/// Channels and outputs of a group from which cuDNN serves: below, one result a thread is as good.
constexpr int kGroupChannels = 8;
/// Operations in f32 on an element of the images from which cuDNN serves: its engines without
/// tensor cores copy images to planes of channels, which must be worth it.
constexpr int64_t kWorthPlanes = 512;

DnnConvolution seen_by_dnn(DnnPass pass, const View& x, const View& w, const View& y,
                           const Conv2d& p) {
  DnnConvolution c{pass, x.dtype, {}, {}, {}, {}, {}, {}, {}};
  std::copy_n(x.size, 4, c.x.begin());
  std::copy_n(w.size, 4, c.w.begin());
  std::copy_n(y.size, 4, c.y.begin());
  std::copy_n(p.stride, 2, c.stride.begin());
  std::copy_n(p.dilation, 2, c.dilation.begin());
  std::copy_n(p.before, 2, c.before.begin());
  std::copy_n(p.after, 2, c.after.begin());
  c.tf32 = x.dtype == DType::f32 && tf32_allowed();
  return c;
}

bool aligned_for_dnn(const View& v) {
  return reinterpret_cast<uintptr_t>(v.data) % DnnConvolution::kAlignment == 0;
}

/// Whether it is worth asking.
bool wants_dnn(const ConvShape& s, const DnnConvolution& c, const View& x, const View& y) {
  if (x.dtype != DType::f32 && x.dtype != DType::bf16 && x.dtype != DType::f16) return false;
  if (!dnn_wanted() || !c.consistent() || !aligned_for_dnn(x) || !aligned_for_dnn(y)) return false;
  if (s.in_pixels() == 0 || s.out_pixels() == 0 || s.weights() == 0) return false;
  if (s.groups > 1 && (s.c < kGroupChannels || s.o < kGroupChannels)) return false;
  return x.dtype != DType::f32 || c.tf32 ||
         int64_t{2} * s.depth() * s.o >= kWorthPlanes * (s.c + s.o);
}

/// Weights (O, C, taps) as (O, taps, C): the view's own memory where that is the same.
template <class T>
class ChannelsLast {
 public:
  ChannelsLast(const ConvShape& s, const View& w)
      : copy_((s.taps() > 1 && s.c > 1) || !aligned_for_dnn(w) ? s.weights() : 0),
        own_{w.data,
             w.dtype,
             w.device,
             3,
             {s.outputs, s.taps(), s.c},
             {int64_t{s.c} * s.taps(), 1, s.taps()}},
        last_{copy_.get(),
              w.dtype,
              w.device,
              3,
              {s.outputs, s.taps(), s.c},
              {int64_t{s.c} * s.taps(), s.c, 1}} {}
  void* get() const { return copy_.get() ? copy_.get() : own_.data; }
  void read() const {
    if (copy_.get()) kernels::copy(last_, own_);
  }
  void write() const {
    if (copy_.get()) kernels::copy(own_, last_);
  }

 private:
  Scratch<T> copy_;
  View own_, last_;
};

void add_bias(const ConvShape& s, const View& y, const View& bias) {
  const View rows = matrix(y, s.out_pixels(), s.outputs, s.outputs, 1);
  View repeated = matrix(y, s.out_pixels(), s.outputs, 0, bias.stride[0]);
  repeated.data = bias.data;
  kernels::binary(rows, rows, repeated, Binary::add, compute_type(y.dtype), 1.0);
}

}  // namespace

bool conv2d_by_dnn(const View& y, const View& x, const View& w, const View& bias, const Conv2d& p) {
  const ConvShape s(x, w, y, p);
  const DnnConvolution c = seen_by_dnn(DnnPass::forward, x, w, y, p);
  if (!wants_dnn(s, c, x, y)) return false;
  bool done = false;
  by_floating(x.dtype, [&]<class T>() {
    const ChannelsLast<T> weights(s, w);
    weights.read();
    done = dnn_device().run(c, x.data, weights.get(), y.data);
  });
  if (done && bias) add_bias(s, y, bias);
  return done;
}

bool conv2d_backward_input_by_dnn(const View& dx, const View& g, const View& w, const Conv2d& p) {
  const ConvShape s(dx, w, g, p);
  const DnnConvolution c = seen_by_dnn(DnnPass::input, dx, w, g, p);
  if (!wants_dnn(s, c, dx, g)) return false;
  bool done = false;
  by_floating(dx.dtype, [&]<class T>() {
    const ChannelsLast<T> weights(s, w);
    weights.read();
    done = dnn_device().run(c, dx.data, weights.get(), g.data);
  });
  return done;
}

bool conv2d_backward_weight_by_dnn(const View& dw, const View& g, const View& x, const Conv2d& p) {
  const ConvShape s(x, dw, g, p);
  const DnnConvolution c = seen_by_dnn(DnnPass::weight, x, dw, g, p);
  if (!wants_dnn(s, c, x, g)) return false;
  bool done = false;
  by_floating(dw.dtype, [&]<class T>() {
    const ChannelsLast<T> weights(s, dw);
    done = dnn_device().run(c, x.data, weights.get(), g.data);
    if (done) weights.write();
  });
  return done;
}

}  // namespace nnm::cuda
