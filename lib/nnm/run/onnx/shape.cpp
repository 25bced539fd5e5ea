// Functions that arrange, cut and join. Extents are those of the inputs that were looked at.
#include <limits>
#include <numeric>

#include "nnm/ops/ops.h"
#include "nnm/run/onnx/builder.h"

namespace nnm::run::onnx {
namespace {

// The same elements in the same order.
void reshape(Builder& g, const Call& c) {
  const Tensor x = c.args[0].second.as<Tensor>(), y = c.out();
  g.give(y, x.shape() == y.shape() ? g.of(x) : g.reshape(g.of(x), y.shape()));
}

Ints counted(int n) {
  Ints dims(static_cast<size_t>(n));
  std::iota(dims.begin(), dims.end(), 0);
  return dims;
}

int64_t positive(int64_t d, const Tensor& x) { return d < 0 ? d + x.dim() : d; }

void swap(Builder& g, const Call& c, int64_t a, int64_t b) {
  const Tensor x = c.args[0].second.as<Tensor>();
  if (x.dim() < 2) return g.give(c.out(), g.of(x));
  Ints dims = counted(x.dim());
  std::swap(dims[static_cast<size_t>(positive(a, x))], dims[static_cast<size_t>(positive(b, x))]);
  g.give(c.out(), g.transpose(g.of(x), dims));
}
void transpose(Builder& g, const Call& c) {
  swap(g, c, c.args[1].second.integer(), c.args[2].second.integer());
}
void transpose_last(Builder& g, const Call& c) { swap(g, c, -2, -1); }

void permute(Builder& g, const Call& c) {
  const Tensor x = c.tensor();
  Ints dims = c.ints("dims");
  for (int64_t& d : dims) d = positive(d, x);
  g.give(c.out(), g.transpose(g.of(x), dims));
}

void move_dims(Builder& g, const Call& c) {
  const Tensor x = c.tensor();
  const Ints from = c.ints("source"), to = c.ints("destination");
  Ints dims(static_cast<size_t>(x.dim()), -1), rest = counted(x.dim());
  for (size_t i = 0; i < from.size(); ++i) {
    dims[static_cast<size_t>(positive(to[i], x))] = positive(from[i], x);
    std::erase(rest, positive(from[i], x));
  }
  size_t next = 0;
  for (int64_t& d : dims)
    if (d < 0) d = rest[next++];
  g.give(c.out(), g.transpose(g.of(x), dims));
}

void rearrange(Builder& g, const Call& c) {
  std::vector<std::pair<std::string, int64_t>> sizes;
  for (const auto& [name, n] : c.at("sizes").entries()) sizes.emplace_back(name, n.integer());
  const Rearrangement r = rearrangement(c.tensor().shape(), c.at("pattern").string(), sizes);
  const std::string turned = g.transpose(g.reshape(g.of(c.tensor()), r.split), r.order);
  g.give(c.out(), g.reshape(turned, r.joined));
}

void expand(Builder& g, const Call& c) {
  g.give(c.out(), g.emit("Expand", {g.of(c.tensor()), g.ints(c.out().shape().vec())}));
}

// One number everywhere.
void filled(Builder& g, const Call& c, const Value& number) {
  const std::string one = g.operand(number, c.out().dtype());
  g.give(c.out(), g.emit("Expand", {one, g.ints(c.out().shape().vec())}));
}
template <int kNumber>
void filled_with(Builder& g, const Call& c) {
  filled(g, c, kNumber);
}
void full(Builder& g, const Call& c) { filled(g, c, c.at("fill_value")); }

// As many repeats as the output has dimensions: those of the input that are missing are 1.
void tile(Builder& g, const Call& c) {
  const Tensor x = c.tensor();
  Shape wide = x.shape();
  while (wide.size() < c.out().dim()) wide.insert(0, 1);
  Ints times;
  for (int i = 0; i < wide.size(); ++i) times.push_back(wide[i] ? c.out().shape()[i] / wide[i] : 1);
  const std::string name = wide.size() == x.dim() ? g.of(x) : g.reshape(g.of(x), wide);
  g.give(c.out(), g.emit("Tile", {name, g.ints(times)}));
}

Strings parts_of(Builder& g, const Call& c, DType dtype) {
  Strings out;
  for (const Value& v : c.at("tensors").items()) out.push_back(g.operand(v, dtype));
  return out;
}
void cat(Builder& g, const Call& c) {
  const int64_t d = c.integer("dim");
  g.give(c.out(), g.emit("Concat", parts_of(g, c, c.out().dtype()), {{"axis", d}}));
}
void stack(Builder& g, const Call& c) {
  const int64_t d = c.integer("dim");
  Strings parts = parts_of(g, c, c.out().dtype());
  for (std::string& p : parts) p = g.emit("Unsqueeze", {p, g.ints({d})});
  g.give(c.out(), g.emit("Concat", parts, {{"axis", d}}));
}
template <int kAxis>
void join(Builder& g, const Call& c) {
  const Values& all = c.at("tensors").items();
  if (all.empty() || all[0].as<Tensor>().dim() < 2) unsupported("`" + c.function + "` of vectors");
  g.give(c.out(), g.emit("Concat", parts_of(g, c, c.out().dtype()), {{"axis", int64_t{kAxis}}}));
}

// What lies one after the other along a dimension.
void split(Builder& g, const Call& c) {
  const std::string argument = c.args[0].first;
  const int64_t d = c.dim("dim", argument);
  const std::string x = g.of(c.tensor(argument));
  int64_t at = 0;
  for (size_t i = 0; i < c.output.items().size(); ++i) {
    const int64_t n = c.out(i).size(static_cast<int>(d));
    g.give(c.out(i), g.slice(x, {at}, {at + n}, {d}, {1}));
    at += n;
  }
}
void unbind(Builder& g, const Call& c) {
  const int64_t d = c.dim();
  const std::string x = g.of(c.tensor());
  for (size_t i = 0; i < c.output.items().size(); ++i) {
    const auto at = static_cast<int64_t>(i);
    g.give(c.out(i), g.reshape(g.slice(x, {at}, {at + 1}, {d}, {1}), c.out(i).shape()));
  }
}
void narrow(Builder& g, const Call& c) {
  const int64_t d = c.dim(), begin = positive(c.integer("start"), c.tensor());
  g.give(c.out(), g.slice(g.of(c.tensor()), {begin}, {begin + c.integer("length")}, {d}, {1}));
}
void select(Builder& g, const Call& c) {
  const int64_t d = c.dim(), n = c.tensor().size(static_cast<int>(d));
  const int64_t at = c.integer("index") < 0 ? c.integer("index") + n : c.integer("index");
  g.give(c.out(), g.reshape(g.slice(g.of(c.tensor()), {at}, {at + 1}, {d}, {1}), c.out().shape()));
}

void reverse(Builder& g, const Call& c, const Ints& dims) {
  const Ints starts(dims.size(), -1), steps(dims.size(), -1);
  const Ints ends(dims.size(), std::numeric_limits<int64_t>::min());
  g.give(c.out(), g.slice(g.of(c.tensor()), starts, ends, dims, steps));
}
void flip(Builder& g, const Call& c) {
  Ints dims = c.ints("dims");
  for (int64_t& d : dims) d = positive(d, c.tensor());
  reverse(g, c, dims);
}
void flip_columns(Builder& g, const Call& c) { reverse(g, c, {1}); }
void flip_rows(Builder& g, const Call& c) { reverse(g, c, {0}); }

void roll(Builder& g, const Call& c) {
  const Ints shifts = c.ints("shifts"), dims = c.ints("dims");
  if (dims.empty()) unsupported("`roll` without `dims`");
  std::string x = g.of(c.tensor());
  for (size_t i = 0; i < dims.size(); ++i) {
    const int64_t d = positive(dims[i], c.tensor()), n = c.tensor().size(static_cast<int>(d));
    const int64_t cut = n ? ((-shifts[i]) % n + n) % n : 0;
    const std::string head = g.slice(x, {0}, {cut}, {d}, {1}),
                      tail = g.slice(x, {cut}, {n}, {d}, {1});
    x = g.emit("Concat", {tail, head}, {{"axis", d}});
  }
  g.give(c.out(), x);
}

template <int kUpper>
void triangle(Builder& g, const Call& c) {
  g.give(c.out(),
         g.emit("Trilu",
                {g.of(c.tensor()), g.constant(scalar_tensor(c.integer("diagonal"), DType::i64))},
                {{"upper", int64_t{kUpper}}}));
}

void gather(Builder& g, const Call& c) {
  g.give(c.out(), g.emit("GatherElements", {g.of(c.tensor()), g.of(c.tensor("index"))},
                         {{"axis", c.dim()}}));
}
void index_select(Builder& g, const Call& c) {
  g.give(c.out(),
         g.emit("Gather", {g.of(c.tensor()), g.of(c.tensor("index"))}, {{"axis", c.dim()}}));
}
void scatter(Builder& g, const Call& c) {
  const Tensor index = c.tensor("index");
  const DType dtype = c.out().dtype();
  std::string source = g.operand(c.at("src"), dtype);
  if (!c.at("src").is(Value::Kind::tensor))
    source = g.emit("Expand", {source, g.ints(index.shape().vec())});
  else if (c.tensor("src").shape() != index.shape()) unsupported("`scatter` of a part of `src`");
  g.give(c.out(),
         g.emit("ScatterElements", {g.of(c.tensor()), g.of(index), source}, {{"axis", c.dim()}}));
}
void one_hot(Builder& g, const Call& c) {
  const int64_t depth = c.out().size(-1);
  g.give(c.out(), g.emit("OneHot", {g.of(c.tensor("tensor")),
                                    g.constant(scalar_tensor(depth, DType::i64)), g.ints({0, 1})}));
}

// x[...]: slices first, then the one tensor of indices, then integers and none by the shape.
class Subscript {
 public:
  Subscript(Builder& g, const Tensor& x, const Value& index) : g_(g), x_(x), name_(g.of(x)) {
    const Values items = index.is(Value::Kind::tuple) ? index.items() : Values{index};
    int64_t named = 0;
    for (const Value& v : items) named += !v.is_none() && !v.is(Value::Kind::ellipsis);
    for (const Value& v : items) {
      if (v.is(Value::Kind::ellipsis)) dim_ += x.dim() - named;
      else if (!v.is_none()) one(v);
    }
  }
  std::string result(const Shape& shape) {
    if (!axes_.empty()) name_ = g_.slice(name_, starts_, ends_, axes_, steps_);
    if (!picks_.empty()) name_ = g_.emit("Gather", {name_, picks_}, {{"axis", pick_dim_}});
    return g_.reshape(name_, shape);
  }

 private:
  void one(const Value& v) {
    const int64_t n = x_.size(static_cast<int>(dim_));
    if (v.is(Value::Kind::integer)) {
      const int64_t at = v.integer() < 0 ? v.integer() + n : v.integer();
      cut(at, at + 1, 1);
    } else if (v.is(Value::Kind::slice)) {
      const Values& part = v.items();
      const int64_t step = part[2].is_none() ? 1 : part[2].integer();
      const int64_t begin = part[0].is_none() ? 0 : part[0].integer();
      const int64_t end = part[1].is_none() ? n : part[1].integer();
      if (begin != 0 || end != n || step != 1) cut(begin, end, step);
    } else {
      pick(v);
    }
    ++dim_;
  }
  void cut(int64_t begin, int64_t end, int64_t step) {
    starts_.push_back(begin);
    ends_.push_back(end);
    steps_.push_back(step);
    axes_.push_back(dim_);
  }
  void pick(const Value& v) {
    if (!picks_.empty() || !(v.is(Value::Kind::tensor) || v.is(Value::Kind::list)))
      unsupported("this subscript");
    if (v.is(Value::Kind::list)) {
      Ints at;
      for (const Value& i : v.items()) at.push_back(i.integer());
      picks_ = g_.ints(at);
    } else {
      const DType dtype = v.as<Tensor>().dtype();
      if (dtype == DType::b8 || dtype == DType::u8) unsupported("a mask as a subscript");
      picks_ = g_.of(v.as<Tensor>());
    }
    pick_dim_ = dim_;
  }

  Builder& g_;
  const Tensor x_;
  std::string name_, picks_;
  int64_t dim_ = 0, pick_dim_ = 0;
  Ints starts_, ends_, axes_, steps_;
};

void subscript(Builder& g, const Call& c) {
  const Value& x = c.args[0].second;
  if (!x.is(Value::Kind::tensor)) return;  // of a list of tensors that are known
  g.give(c.out(), Subscript(g, x.as<Tensor>(), c.args[1].second).result(c.out().shape()));
}

void pad(Builder& g, const Call& c) {
  const Tensor x = c.tensor();
  const Ints asked = c.ints("pad");
  const std::string mode = c.at("mode").string();
  if (mode == "circular") unsupported("padding in a circle");
  const auto n = static_cast<size_t>(x.dim());
  Ints pads(2 * n, 0);
  for (size_t i = 0; 2 * i + 1 < asked.size(); ++i) {
    pads[n - 1 - i] = asked[2 * i];
    pads[2 * n - 1 - i] = asked[2 * i + 1];
  }
  const double value = c.has("value") ? c.real("value") : 0;
  g.give(c.out(), g.emit("Pad", {g.of(x), g.ints(pads), g.scalar(value, x.dtype())},
                         {{"mode", mode == "replicate" ? std::string("edge") : mode}}));
}

// Channels (C r r) to squares of r x r, and back.
void pixel_shuffle(Builder& g, const Call& c) {
  g.give(c.out(),
         g.emit("DepthToSpace", {g.of(c.tensor())},
                {{"blocksize", c.integer("upscale_factor")}, {"mode", std::string("CRD")}}));
}
void pixel_unshuffle(Builder& g, const Call& c) {
  const Shape s = c.tensor().shape();
  if (s.size() != 4) unsupported("`pixel_unshuffle` of one image");
  const int64_t r = c.integer("downscale_factor");
  const std::string cut = g.reshape(g.of(c.tensor()), {s[0], s[1], s[2] / r, r, s[3] / r, r});
  g.give(c.out(), g.reshape(g.transpose(cut, {0, 1, 3, 5, 2, 4}), c.out().shape()));
}
void channel_shuffle(Builder& g, const Call& c) {
  const Shape s = c.tensor().shape();
  const int64_t groups = c.integer("groups");
  int64_t rest = 1;
  for (int i = 2; i < s.size(); ++i) rest *= s[i];
  const std::string cut = g.reshape(g.of(c.tensor()), {s[0], groups, s[1] / groups, rest});
  g.give(c.out(), g.reshape(g.transpose(cut, {0, 2, 1, 3}), s));
}

constexpr Conversion kShapes[] = {
    {"reshape", reshape},
    {"view", reshape},
    {"flatten", reshape},
    {"unflatten", reshape},
    {"squeeze", reshape},
    {"unsqueeze", reshape},
    {"ravel", reshape},
    {"view_as", reshape},
    {"reshape_as", reshape},
    {"transpose", transpose},
    {"swapaxes", transpose},
    {"swapdims", transpose},
    {"t", transpose_last},
    {".T", transpose_last},
    {".mT", transpose_last},
    {"zeros", filled_with<0>},
    {"zeros_like", filled_with<0>},
    {"new_zeros", filled_with<0>},
    {"ones", filled_with<1>},
    {"ones_like", filled_with<1>},
    {"new_ones", filled_with<1>},
    {"full", full},
    {"full_like", full},
    {"new_full", full},
    {"rearrange", rearrange},
    {"permute", permute},
    {"movedim", move_dims},
    {"moveaxis", move_dims},
    {"expand", expand},
    {"expand_as", expand},
    {"broadcast_to", expand},
    {"repeat", tile},
    {"tile", tile},
    {"cat", cat},
    {"concat", cat},
    {"concatenate", cat},
    {"stack", stack},
    {"hstack", join<1>},
    {"vstack", join<0>},
    {"split", split},
    {"chunk", split},
    {"unbind", unbind},
    {"narrow", narrow},
    {"select", select},
    {"flip", flip},
    {"fliplr", flip_columns},
    {"flipud", flip_rows},
    {"roll", roll},
    {"tril", triangle<0>},
    {"triu", triangle<1>},
    {"gather", gather},
    {"index_select", index_select},
    {"scatter", scatter},
    {"one_hot", one_hot},
    {"[…]", subscript},
    {"pad", pad},
    {"pixel_shuffle", pixel_shuffle},
    {"pixel_unshuffle", pixel_unshuffle},
    {"channel_shuffle", channel_shuffle},
};

}  // namespace

std::span<const Conversion> shape_conversions() { return kShapes; }

}  // namespace nnm::run::onnx
