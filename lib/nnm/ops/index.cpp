// x[...]: integers, slices, none, ellipsis, masks and index tensors, as in Python.
#include <array>

#include "kernels/gather.h"
#include "kernels/pointwise.h"
#include "nnm/ops/detail.h"

namespace nnm {

namespace {

/// The index tensors of one x[...], each at its dimension; `n` of them.
struct Picks {
  std::array<Tensor, kMaxDims> index;
  std::array<int, kMaxDims> dim{};
  int n = 0;
};

/// A list of integers or bools (nested: not) as a tensor.
Tensor tensor_of_list(const Value& v, Device device) {
  std::vector<int64_t> numbers;
  bool bools = !v.items().empty();
  for (const Value& item : v.items()) {
    NNM_CHECK(item.is(Value::Kind::integer) || item.is(Value::Kind::boolean), type,
              "a list as an index holds integers or bools, got {}", item.repr());
    bools &= item.is(Value::Kind::boolean);
    numbers.push_back(item.integer());
  }
  const Tensor t = tensor_of<int64_t>(numbers, {static_cast<int64_t>(numbers.size())},
                                      {bools ? DType::b8 : DType::i64, {}});
  return device.type == DeviceType::meta ? to(t, {t.dtype(), device}) : t;
}

/// Dimensions of x that an item takes.
int consumed(const Value& item) {
  using Kind = Value::Kind;
  if (item.is(Kind::none) || item.is(Kind::ellipsis) || item.is(Kind::boolean)) return 0;
  if (!item.is(Kind::tensor)) return 1;
  const Tensor t = item.as<Tensor>();
  return t.dtype() == DType::b8 || t.dtype() == DType::u8 ? t.dim() : 1;
}

class Indexing {
 public:
  Indexing(const Tensor& x, const Value& index) : y_(x) {
    if (index.is(Value::Kind::tuple)) {
      items_ = index.items();
    } else {
      items_ = {index};
    }
  }

  /// Applies everything but index tensors, which are left in `picks`.
  Tensor basic(Picks& picks) {
    int named = 0;
    for (const Value& item : items_) named += consumed(item);
    NNM_CHECK(named <= y_.dim(), index, "too many indices for tensor of dimension {}", y_.dim());
    bool ellipsis = false;
    for (const Value& item : items_) {
      if (item.is(Value::Kind::ellipsis)) {
        NNM_CHECK(!ellipsis, index, "an index can only have a single ellipsis ('...')");
        ellipsis = true;
        dim_ += y_.dim() - dim_ - rest_after(item);
      } else {
        one(item, picks);
      }
    }
    return y_;
  }

 private:
  /// Dimensions that the items behind this one take.
  int rest_after(const Value& item) const {
    int n = 0;
    for (const Value* p = &item + 1; p != items_.data() + items_.size(); ++p) n += consumed(*p);
    return n;
  }

  void one(const Value& item, Picks& picks) {
    switch (item.kind()) {
      case Value::Kind::none: y_ = unsqueeze(y_, dim_++); return;
      case Value::Kind::boolean: flag(item.boolean(), picks); return;
      case Value::Kind::integer: integer(item.integer()); return;
      case Value::Kind::slice: sliced(item.items()); return;
      case Value::Kind::list: picked(tensor_of_list(item, y_.device()), picks); return;
      case Value::Kind::tensor: picked(item.as<Tensor>(), picks); return;
      default:
        fail(ErrorKind::type,
             "indices must be integers, slices, none, ..., masks or index tensors, got {}",
             item.type_name());
    }
  }

  void integer(int64_t i) {
    const int64_t n = y_.shape()[dim_];
    NNM_CHECK(i >= -n && i < n, index, "index {} is out of bounds for dimension {} with size {}", i,
              dim_, n);
    y_ = select(y_, dim_, i);
  }

  void sliced(const Values& parts) {
    const auto bound = [](const Value& v) {
      return v.is_none() ? std::nullopt : std::optional(v.integer());
    };
    const int64_t step = parts[2].is_none() ? 1 : parts[2].integer();
    NNM_CHECK(step > 0, value, "step must be greater than zero");
    const bool all = parts[0].is_none() && parts[1].is_none() && step == 1;
    if (!all) y_ = slice(y_, dim_, bound(parts[0]), bound(parts[1]), step);
    ++dim_;
  }

  /// A truth value makes a new dimension: of one place where true, of none where false.
  void flag(bool on, Picks& picks) {
    y_ = unsqueeze(y_, dim_);
    add(picks, zeros({on ? 1 : 0}, {DType::i64, y_.device()}));
  }

  void picked(const Tensor& t, Picks& picks) {
    const bool is_mask = t.dtype() == DType::b8 || t.dtype() == DType::u8;
    if (t.dim() == 0 && !is_floating(t.dtype())) {
      // Values are not known without memory: any place will do there.
      const int64_t i = t.is_meta() ? (is_mask ? 1 : 0) : t.item().i;
      return is_mask ? flag(i != 0, picks) : integer(i);
    }
    NoGradGuard no_grad;
    if (is_mask) return masked(to(t, DType::b8), picks);
    NNM_CHECK(t.dtype() == DType::i64 || t.dtype() == DType::i32, index,
              "tensors used as indices must be long, int, byte or bool tensors");
    add(picks, t.dtype() == DType::i64 ? t : to(t, DType::i64));
  }

  /// A mask of k dimensions picks by k index tensors.
  void masked(const Tensor& mask, Picks& picks) {
    for (int k = 0; k < mask.dim(); ++k) {
      NNM_CHECK(mask.shape()[k] == y_.shape()[dim_ + k], index,
                "The shape of the mask {} at index {} does not match the shape of the indexed "
                "tensor {} at index {}",
                mask.shape().str(), k, y_.shape().str(), dim_ + k);
    }
    const Tensor at = detail::nonzero_positions(mask);
    int64_t inner = mask.numel();
    for (int k = 0; k < mask.dim(); ++k) {
      const int64_t extent = mask.shape()[k];
      inner /= std::max<int64_t>(extent, 1);
      const Tensor row = floor_divide(at, Scalar(std::max<int64_t>(inner, 1)));
      add(picks, k == 0 ? row : remainder(row, Scalar(std::max<int64_t>(extent, 1))));
    }
  }

  void add(Picks& picks, const Tensor& index) {
    const auto slot = static_cast<size_t>(picks.n++);
    picks.index[slot] = index;
    picks.dim[slot] = dim_++;
  }

  Tensor y_;
  Values items_;
  int dim_ = 0;
};

/// Where the picks' own dimensions stand in the result, and what is left of x's.
struct Layout {
  Shape result, rest, rest_strides, picked;
  int at = 0;
};

Layout layout_of(const Shape& sizes, const Shape& strides, const Picks& picks) {
  Layout l;
  uint32_t indexed = 0;
  for (int k = 0; k < picks.n; ++k) {
    const auto slot = static_cast<size_t>(k);
    indexed |= 1u << picks.dim[slot];
    l.picked = broadcast_shapes(l.picked, picks.index[slot].shape());
  }
  const auto n = static_cast<size_t>(picks.n);
  const bool adjacent = picks.dim[n - 1] - picks.dim[0] == picks.n - 1;
  for (int d = 0; d < sizes.size(); ++d) {
    if (indexed >> d & 1) continue;
    l.rest.push_back(sizes[d]);
    l.rest_strides.push_back(strides[d]);
  }
  l.at = adjacent ? picks.dim[0] : 0;
  for (int i = 0; i < l.at; ++i) l.result.push_back(l.rest[i]);
  for (int64_t s : l.picked) l.result.push_back(s);
  for (int i = l.at; i < l.rest.size(); ++i) l.result.push_back(l.rest[i]);
  return l;
}

/// y of the result's shape (row-major) as (number of picks, rest…), which kernels::take fills.
Tensor rows_of(const Tensor& y, const Layout& l) {
  Shape sizes = l.rest, strides = contiguous_strides(l.result);
  int64_t inner = 1;
  for (int i = l.at; i < l.rest.size(); ++i) inner *= std::max<int64_t>(l.rest[i], 1);
  for (int i = 0; i < l.picked.size(); ++i) strides.erase(l.at);
  sizes.insert(0, l.picked.numel());
  strides.insert(0, inner);
  return y.as_strided(sizes, strides, y.impl()->offset);
}

/// Sum over the picks of index * stride, negative ones counted from the end.
Tensor offsets(const Picks& picks, const Layout& l, const Shape& sizes, const Shape& strides) {
  Tensor total;
  for (int k = 0; k < picks.n; ++k) {
    const auto slot = static_cast<size_t>(k);
    const int64_t n = sizes[picks.dim[slot]];
    const Tensor& index = picks.index[slot];
    Tensor wrapped = remainder(index, Scalar(std::max<int64_t>(n, 1)));
    wrapped = mul(wrapped, Scalar(strides[picks.dim[slot]]));
    total = total.defined() ? add(total, wrapped) : wrapped;
  }
  return contiguous(reshape(expand(total, l.picked), {l.picked.numel()}));
}

Tensor take(const Tensor& x, const Picks& picks) {
  for (int k = 0; k < picks.n; ++k) {
    const auto slot = static_cast<size_t>(k);
    const int d = picks.dim[slot];
    const int64_t n = x.shape()[d];
    detail::check_index_range(picks.index[slot], -n, n, [&](int64_t bad) {
      fail(ErrorKind::index, "index {} is out of bounds for dimension {} with size {}", bad, d, n);
    });
  }
  const Layout l = layout_of(x.shape(), x.strides(), picks);
  Tensor y = empty(l.result, x.options());
  {
    NoGradGuard no_grad;
    const Tensor window = x.as_strided(l.rest, l.rest_strides, x.impl()->offset);
    kernels::take(rows_of(y, l), window, offsets(picks, l, x.shape(), x.strides()));
  }
  if (!needs_grad({&x})) return y;
  return record("IndexBackward0", y, {&x}, [picks](Backward& b) {
    const InputMeta& in = b.input(0);
    Tensor dx = zeros(in.sizes, {in.dtype, in.device});
    const Layout l = layout_of(in.sizes, dx.strides(), picks);
    const Tensor g = contiguous(b.grad());
    kernels::put(dx.as_strided(l.rest, l.rest_strides, 0), rows_of(g, l),
                 offsets(picks, l, in.sizes, dx.strides()), true);
    b.set(0, dx);
  });
}

}  // namespace

Tensor index(const Tensor& x, const Value& index) {
  detail::check_defined(x, "index");
  Picks picks;
  const Tensor y = Indexing(x, index).basic(picks);
  return picks.n ? take(y, picks) : y;
}

}  // namespace nnm
