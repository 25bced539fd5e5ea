// ModelProto of onnx.proto3 (IR version 8), written field by field.
#include "nnm/io/onnx.h"

#include <cstring>

#include "nnm/base/error.h"
#include "nnm/base/file.h"
#include "nnm/io/row_major.h"

namespace nnm::io {
namespace {

constexpr int64_t kIrVersion = 8;
constexpr size_t kMostBytes = size_t{1} << 31;

/// A message of protobuf: fields by their numbers.
class Message {
 public:
  Message& number(int field, int64_t v) {
    key(field, 0);
    varint(static_cast<uint64_t>(v));
    return *this;
  }
  Message& real(int field, float v) {
    key(field, 5);
    text_.append(reinterpret_cast<const char*>(&v), sizeof v);
    return *this;
  }
  Message& text(int field, std::string_view v) {
    key(field, 2);
    varint(v.size());
    text_ += v;
    return *this;
  }
  Message& message(int field, const Message& m) { return text(field, m.text_); }
  const std::string& bytes() const { return text_; }

 private:
  void key(int field, int wire) {
    varint(static_cast<uint64_t>(field) << 3 | static_cast<uint64_t>(wire));
  }
  void varint(uint64_t v) {
    for (; v >= 0x80; v >>= 7) text_ += static_cast<char>(v | 0x80);
    text_ += static_cast<char>(v);
  }
  std::string text_;
};

/// Field and type of AttributeProto.
struct WriteAttribute {
  Message& m;
  void operator()(int64_t v) const { m.number(3, v).number(20, 2); }
  void operator()(double v) const { m.real(2, static_cast<float>(v)).number(20, 1); }
  void operator()(const std::string& v) const { m.text(4, v).number(20, 3); }
  void operator()(const std::vector<int64_t>& v) const {
    for (const int64_t n : v) m.number(8, n);
    m.number(20, 7);
  }
  void operator()(const std::vector<double>& v) const {
    for (const double n : v) m.real(7, static_cast<float>(n));
    m.number(20, 6);
  }
};

Message node_message(const OnnxNode& n) {
  Message m;
  for (const std::string& name : n.inputs) m.text(1, name);
  for (const std::string& name : n.outputs) m.text(2, name);
  m.text(3, n.name).text(4, n.op);
  for (const auto& [name, value] : n.attributes) {
    Message attribute;
    attribute.text(1, name);
    std::visit(WriteAttribute{attribute}, value);
    m.message(5, attribute);
  }
  return m;
}

Message tensor_message(const std::string& name, const Tensor& t) {
  const Tensor dense = row_major(t);
  Message m;
  for (const int64_t n : dense.shape()) m.number(1, n);
  m.number(2, onnx_type(dense.dtype())).text(8, name);
  const size_t bytes = static_cast<size_t>(dense.numel()) * item_size(dense.dtype());
  m.text(9, {bytes ? static_cast<const char*>(dense.data()) : "", bytes});
  return m;
}

Message value_message(const OnnxValue& v) {
  Message shape, tensor, type, m;
  for (size_t i = 0; i < v.shape.vec().size(); ++i) {
    const bool fixed = i >= v.free.size() || v.free[i].empty();
    if (fixed) shape.message(1, Message().number(1, v.shape[static_cast<int>(i)]));
    else shape.message(1, Message().text(2, v.free[i]));
  }
  tensor.number(1, onnx_type(v.dtype)).message(2, shape);
  type.message(1, tensor);
  m.text(1, v.name).message(2, type);
  return m;
}

Message graph_message(const OnnxGraph& g) {
  Message m;
  for (const OnnxNode& n : g.nodes) m.message(1, node_message(n));
  m.text(2, g.name);
  for (const auto& [name, tensor] : g.initializers) m.message(5, tensor_message(name, tensor));
  for (const OnnxValue& v : g.inputs) m.message(11, value_message(v));
  for (const OnnxValue& v : g.outputs) m.message(12, value_message(v));
  return m;
}

}  // namespace

int64_t onnx_type(DType dtype) {
  switch (dtype) {
    case DType::f32: return 1;
    case DType::u8: return 2;
    case DType::i8: return 3;
    case DType::i16: return 5;
    case DType::i32: return 6;
    case DType::i64: return 7;
    case DType::b8: return 9;
    case DType::f16: return 10;
    case DType::f64: return 11;
    case DType::bf16: return 16;
  }
  return 0;
}

void write_onnx(const std::string& path, const OnnxGraph& graph) {
  size_t bytes = 0;
  for (const auto& [name, tensor] : graph.initializers)
    bytes += static_cast<size_t>(tensor.numel()) * item_size(tensor.dtype());
  NNM_CHECK(bytes < kMostBytes, output,
            "{}: an ONNX file holds at most 2 GiB, and the weights are larger", path);
  Message model;
  model.number(1, kIrVersion).text(2, "nnm");
  model.message(7, graph_message(graph)).message(8, Message().text(1, "").number(2, kOnnxOpset));
  write_file_atomic(path, model.bytes());
}

}  // namespace nnm::io
