// Tensors that stay in their file: pieces, checksums, and what is worked out over them.
#include "nnm/io/stored.h"

#include <algorithm>
#include <optional>

#include "nnm/base/file.h"

namespace nnm::io {

View dense_view(DType dtype, const void* data, int64_t count) {
  View v;
  v.data = const_cast<void*>(data);
  v.dtype = dtype;
  v.ndim = 1;
  v.size[0] = count;
  v.stride[0] = 1;
  return v;
}

Pieces::Pieces(std::span<const int64_t> shape, int64_t most)
    : shape_(shape.begin(), shape.end()), start_(shape.size(), 0), extents_(shape_) {
  empty_ = std::find(shape_.begin(), shape_.end(), 0) != shape_.end();
  if (empty_ || shape_.empty()) return;
  for (axis_ = shape_.size() - 1; axis_ > 0 && inner_ * shape_[axis_] <= most; --axis_)
    inner_ *= shape_[axis_];
  rows_ = std::clamp<int64_t>(most / inner_, 1, shape_[axis_]);
  std::fill_n(extents_.begin(), axis_, 1);
}

bool Pieces::next() {
  if (empty_) return false;
  if (shape_.empty()) {
    numel_ = 1;
    return !std::exchange(begun_, true);
  }
  if (std::exchange(begun_, true)) {
    start_[axis_] += extents_[axis_];
    for (size_t d = axis_; start_[d] == shape_[d]; --d) {
      if (d == 0) return false;
      start_[d] = 0;
      ++start_[d - 1];
    }
  }
  extents_[axis_] = std::min(rows_, shape_[axis_] - start_[axis_]);
  numel_ = extents_[axis_] * inner_;
  return true;
}

StoredTensor::StoredTensor(const H5Reader& file, const H5Node& node, const Manifest* manifest)
    : file_(&file), node_(&node), manifest_(manifest), shape_(node.shape), numel_(node.numel) {
  if (node.group || node.element.kind != Element::Kind::number)
    file.fail(node, node.group ? "a group where a tensor is needed"
                               : "holds " + node.element.name + ", not numbers");
  if (manifest && !node.element.exact)
    file.fail(node, "holds " + node.element.name + ", which nnm does not write");
  if (numel_ == 0) check();
}

StoredTensor::StoredTensor(const H5Reader& file, const H5Node& node, int64_t entry,
                           std::vector<int64_t> shape, uint32_t crc)
    : file_(&file), node_(&node), shape_(std::move(shape)), entry_(entry), want_(crc) {
  for (int64_t e : shape_) numel_ *= e;
  if (numel_ == 0) check();
}

void StoredTensor::read(const Pieces& piece, std::vector<char>& buffer) {
  const size_t bytes = static_cast<size_t>(piece.numel()) * item_size(dtype());
  if (buffer.size() < bytes) buffer.resize(bytes);
  std::optional<H5Node> bits;
  if (node_->element.unsigned64) bits.emplace(*node_).element.bits = true;
  const H5Node& node = bits ? *bits : *node_;
  if (entry_ < 0) {
    file_->read_block(node, piece.start(), piece.extents(), buffer.data(), bytes);
  } else {
    std::vector<int64_t> start{entry_}, extents{1};
    start.insert(start.end(), piece.start().begin(), piece.start().end());
    extents.insert(extents.end(), piece.extents().begin(), piece.extents().end());
    start.resize(node.shape.size(), 0);
    extents.resize(node.shape.size(), 1);
    file_->read_block(node, start, extents, buffer.data(), bytes);
  }
  if (entry_ >= 0 || manifest_) crc_ = crc32c(buffer.data(), bytes, crc_);
  done_ += piece.numel();
  if (done_ == numel_) check();
}

void StoredTensor::check() const {
  if (manifest_) {
    const size_t bytes = static_cast<size_t>(numel_) * item_size(dtype());
    const std::string problem = manifest_->crc_problem(*node_, crc_, bytes);
    if (!problem.empty()) file_->fail(*node_, problem);
  } else if (entry_ >= 0 && crc_ != want_) {
    file_->fail(*node_, fmt::format("entry {} does not have its checksum", entry_));
  }
}

namespace {

/// A piece as the kernels take it. u64 beyond i64, for which there is no dtype, comes in f64.
struct Part {
  View view;
  bool beyond = false;
  std::vector<char> data;

  void read(StoredTensor& t, const Pieces& piece) {
    t.read(piece, data);
    const int64_t n = piece.numel();
    view = dense_view(t.dtype(), data.data(), n);
    beyond = t.node().element.unsigned64 &&
             std::any_of(bits(), bits() + n, [](uint64_t x) { return x >> 63 != 0; });
    if (!beyond) return;
    wide_.assign(bits(), bits() + n);
    view = dense_view(DType::f64, wide_.data(), n);
  }
  const uint64_t* bits() const { return reinterpret_cast<const uint64_t*>(data.data()); }

 private:
  std::vector<double> wide_;
};

TensorDifference difference_of(uint64_t x, uint64_t y, const Tolerance& t) {
  const auto a = static_cast<double>(x), b = static_cast<double>(y);
  TensorDifference d;
  d.numel = 1;
  d.squares_a = a * a;
  d.squares_b = b * b;
  d.dot = a * b;
  if (x == y) return d;
  d.changed = 1;
  d.worst = 0;
  d.max_ulp = std::max(x, y) - std::min(x, y);
  d.max_abs = static_cast<double>(d.max_ulp);
  d.squares = d.max_abs * d.max_abs;
  const bool near = d.max_abs <= t.atol + t.rtol * std::max(a, b) || d.max_ulp <= t.ulp;
  d.beyond = t.exact || !near;
  return d;
}

}  // namespace

Statistics statistics(StoredTensor t) {
  TensorStatistics sum;
  std::vector<int64_t> bins(kHistogramBins, 0);
  Part data;
  for (Pieces piece(t.shape()); piece.next();) {
    data.read(t, piece);
    TensorStatistics part;
    uint32_t of_part[kHistogramBins] = {};
    kernels::statistics(data.view, &part, of_part);
    sum.merge(part);
    for (size_t i = 0; i < bins.size(); ++i) bins[i] += of_part[i];
  }
  Statistics all = statistics(sum);
  all.bins = std::move(bins);
  return all;
}

TensorDifference difference(StoredTensor a, StoredTensor b, const Tolerance& tolerance) {
  TensorDifference sum;
  Part x, y;
  const bool both = a.node().element.unsigned64 && b.node().element.unsigned64;
  for (Pieces piece(a.shape()); piece.next();) {
    x.read(a, piece);
    y.read(b, piece);
    TensorDifference part;
    if (both && (x.beyond || y.beyond)) {
      for (int64_t i = 0; i < piece.numel(); ++i)
        part.merge(difference_of(x.bits()[i], y.bits()[i], tolerance));
    } else {
      kernels::difference(x.view, y.view, tolerance, &part);
      if ((x.beyond || y.beyond) && part.changed) part.max_ulp = TensorDifference::kNoUlp;
    }
    sum.merge(part);
  }
  return sum;
}

}  // namespace nnm::io
