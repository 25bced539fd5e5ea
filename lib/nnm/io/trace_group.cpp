// The records of one /tensors/<module>/<what> while a trace is written.
#include "nnm/io/trace_group.h"

#include <algorithm>

#include "nnm/io/row_major.h"

namespace nnm::io {
namespace {

constexpr size_t kTensorChunk = 8192, kIndexChunk = 4096;

std::span<const int64_t> extents(const Tensor& t) { return {t.shape().begin(), t.shape().end()}; }

}  // namespace

const TraceGroup::Arg* TraceGroup::find(const std::string& name) const {
  for (const auto& a : args_)
    if (a->name == name) return a.get();
  return nullptr;
}

std::string TraceGroup::problem(std::span<const TraceArg> args) const {
  for (const TraceArg& given : args) {
    const Arg* a = given.tensor.defined() ? find(given.name) : nullptr;
    if (a && a->dtype != given.tensor.dtype())
      return fmt::format("{}/{}: {} after {}", path_, a->name, info(given.tensor.dtype()).name,
                         info(a->dtype).name);
  }
  return "";
}

TraceGroup::Arg& TraceGroup::arg(const TraceArg& given) {
  const auto at =
      std::lower_bound(args_.begin(), args_.end(), given.name,
                       [](const auto& a, const std::string& name) { return a->name < name; });
  const Tensor& t = given.tensor;
  if (at != args_.end() && (*at)->name == given.name) {
    Arg& a = **at;
    if (a.rank < t.dim()) raise_rank(a, static_cast<int>(t.dim()));
    return a;
  }
  // An argument that comes late has no data in the records so far, and shifts the columns of the
  // tables that are kept in the order of the arguments' names.
  auto fresh = std::make_unique<Arg>(Arg{.name = given.name, .dtype = t.dtype(), .rank = t.dim()});
  fresh->stream =
      file_.stream(path_ + "/" + given.name, t.dtype(), extents(t), kTensorChunk, false);
  for (size_t i = 0; i < steps_.size(); ++i) append_absent(*fresh);
  Arg& a = **args_.insert(at, std::move(fresh));
  if (!steps_.empty()) {
    restart(crc_, "/@crc32c");
    restart(shape_, "/@shape");
    crc_written_ = shape_written_ = 0;
  }
  return a;
}

// A module called with tensors of another rank (one ReLU behind a convolution and behind a linear
// layer): the records so far get axes of extent 1 at the end, which @shape leaves out with -1.
void TraceGroup::raise_rank(Arg& a, int rank) {
  const std::string name = path_ + "/" + a.name;
  std::vector<int64_t> row = a.stream.row, shapes;
  row.resize(static_cast<size_t>(rank), 1);
  const size_t records = a.crcs.size();
  for (size_t i = 0; i < records; ++i) {
    const auto of = a.shapes.begin() + static_cast<int64_t>(i) * a.rank;
    shapes.insert(shapes.end(), of, of + a.rank);
    shapes.insert(shapes.end(), static_cast<size_t>(rank - a.rank), -1);
  }
  int64_t numel = 1;
  for (int64_t e : row) numel *= e;
  std::vector<char> entry(static_cast<size_t>(numel) * item_size(a.dtype));
  H5Writer::Stream old = a.stream;
  file_.unlink(name);
  a.stream = file_.stream(name, a.dtype, row, kTensorChunk, false);
  for (size_t i = 0; i < records; ++i) {
    file_.read(old, static_cast<int64_t>(i), entry.data());
    file_.append(a.stream, entry.data());
  }
  file_.close(old);
  a.rank = rank;
  a.shapes = std::move(shapes);
  ragged_ = true;
  restart(shape_, "/@shape");
  shape_written_ = 0;
}

void TraceGroup::restart(std::optional<H5Writer::Stream>& stream, const std::string& name) {
  if (!stream) return;
  file_.close(*stream);
  file_.unlink(path_ + name);
  stream.reset();
}

void TraceGroup::append_absent(Arg& a) {
  file_.skip(a.stream);
  a.crcs.push_back(0);
  a.shapes.insert(a.shapes.end(), a.rank, -1);
  a.present.push_back(false);
  ++absent_;
}

// Into a new row, or one where the argument is absent.
void TraceGroup::write_tensor(Arg& a, const Tensor& t, std::optional<size_t> row) {
  const Tensor dense = row_major(t);
  std::vector<int64_t> shape(dense.shape().begin(), dense.shape().end());
  const size_t rank = static_cast<size_t>(a.rank);
  const bool lower = shape.size() < rank;
  std::vector<int64_t> told = shape;
  told.resize(rank, -1);
  shape.resize(rank, 1);
  const bool same = shape == a.stream.row;
  if (!std::equal(shape.begin(), shape.end(), a.stream.row.begin(), std::less_equal<>()))
    file_.grow(a.stream, shape);
  ragged_ = ragged_ || !same || lower;
  if (!row) {
    a.crcs.push_back(file_.append_block(a.stream, shape, dense.data()));
    a.shapes.insert(a.shapes.end(), told.begin(), told.end());
    a.present.push_back(true);
    return;
  }
  a.crcs[*row] = file_.fill_in(a.stream, static_cast<int64_t>(*row), shape, dense.data());
  std::copy(told.begin(), told.end(), a.shapes.begin() + static_cast<int64_t>(*row * rank));
  a.present[*row] = true;
  --absent_;
}

// The first record of the same call in which none of these is present.
std::optional<size_t> TraceGroup::lacking(int64_t step, int64_t call,
                                          std::span<const TraceArg> args) const {
  const auto given = [](const TraceArg& a) { return a.tensor.defined(); };
  if (std::none_of(args.begin(), args.end(), given)) return {};
  std::optional<size_t> found;
  for (size_t row = steps_.size(); absent_ > 0 && row-- > 0 && steps_[row] == step;) {
    const auto present = [&](const TraceArg& a) { return given(a) && find(a.name)->present[row]; };
    if (calls_[row] == call && std::none_of(args.begin(), args.end(), present)) found = row;
  }
  return found;
}

void TraceGroup::append(int64_t step, int64_t call, std::span<const TraceArg> args) {
  for (const TraceArg& given : args) {
    if (given.tensor.defined()) arg(given);
  }
  const std::optional<size_t> row = lacking(step, call, args);
  for (const std::unique_ptr<Arg>& a : args_) {
    const auto it = std::find_if(args.begin(), args.end(),
                                 [&](const TraceArg& g) { return g.name == a->name; });
    if (it != args.end() && it->tensor.defined()) write_tensor(*a, it->tensor, row);
    else if (!row) append_absent(*a);
  }
  if (!row) {
    steps_.push_back(step);
    calls_.push_back(call);
  } else if (*row < written_) {
    restart(crc_, "/@crc32c");
    restart(shape_, "/@shape");
    crc_written_ = shape_written_ = 0;
  }
}

void TraceGroup::flush() {
  const size_t records = steps_.size(), columns = args_.size();
  if (records == 0) return;
  if (!step_) step_ = file_.stream(path_ + "/@step", DType::i64, {}, kIndexChunk, true);
  if (!call_) call_ = file_.stream(path_ + "/@call", DType::i64, {}, kIndexChunk, true);
  file_.append(*step_, steps_.data() + written_, records - written_);
  file_.append(*call_, calls_.data() + written_, records - written_);
  written_ = records;
  const int64_t width = static_cast<int64_t>(columns);
  if (!crc_) crc_ = file_.u32_stream(path_ + "/@crc32c", std::span(&width, 1), kIndexChunk, true);
  std::vector<uint32_t> crcs;
  for (size_t i = crc_written_; i < records; ++i) {
    for (const auto& a : args_) crcs.push_back(a->crcs[i]);
  }
  file_.append(*crc_, crcs.data(), records - crc_written_);
  crc_written_ = records;
  int64_t ranks = 0;
  for (const auto& a : args_) ranks += a->rank;
  if ((!ragged_ && absent_ == 0) || ranks == 0) return;
  if (!shape_)
    shape_ = file_.stream(path_ + "/@shape", DType::i64, std::span(&ranks, 1), kIndexChunk, true);
  std::vector<int64_t> shapes;
  for (size_t i = shape_written_; i < records; ++i) {
    for (const auto& a : args_) {
      shapes.insert(shapes.end(), a->shapes.begin() + i * a->rank,
                    a->shapes.begin() + (i + 1) * a->rank);
    }
  }
  file_.append(*shape_, shapes.data(), records - shape_written_);
  shape_written_ = records;
}

void TraceGroup::close() {
  flush();
  for (const auto& a : args_) file_.close(a->stream);
  for (std::optional<H5Writer::Stream>* s : {&step_, &call_, &crc_, &shape_}) {
    if (*s) file_.close(**s);
  }
}

}  // namespace nnm::io
