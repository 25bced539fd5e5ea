// ONNX files: a graph of operators, with the tensors that it knows.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "nnm/tensor/tensor.h"

namespace nnm::io {

/// What an operator is told beside its inputs.
using OnnxAttribute =
    std::variant<int64_t, double, std::string, std::vector<int64_t>, std::vector<double>>;

/// One operator of the default domain.
struct OnnxNode {
  std::string op, name;
  std::vector<std::string> inputs, outputs;  ///< "" for an optional one that is left out
  std::vector<std::pair<std::string, OnnxAttribute>> attributes;
};

/// An input or output of the whole.
struct OnnxValue {
  std::string name;
  DType dtype = DType::f32;
  Shape shape;
  std::vector<std::string> free;  ///< names of dimensions that may have any extent; "": fixed
};

/// A graph in an order in which it can be run.
struct OnnxGraph {
  std::string name;
  std::vector<OnnxNode> nodes;
  std::vector<std::pair<std::string, Tensor>> initializers;  ///< on the CPU
  std::vector<OnnxValue> inputs, outputs;
};

/// The operators are those of this version of ONNX's default domain.
inline constexpr int64_t kOnnxOpset = 17;

/// Writes a ModelProto. Whole or absent. Throws Error(output), also where it takes more than the
/// 2 GiB that protobuf allows.
void write_onnx(const std::string& path, const OnnxGraph& graph);

/// The number of a type in TensorProto.DataType.
int64_t onnx_type(DType dtype);

}  // namespace nnm::io
