// A model as an ONNX graph.
#pragma once

#include "nnm/io/onnx.h"
#include "nnm/run/session.h"

namespace nnm::run {

/// The operators that the model's forward in eval mode consists of, for inputs of the shapes that
/// the session's check found, without optional inputs: what torch.onnx.export makes by looking at a
/// forward. Loops and branches are gone. The batch may be of any size, where inputs share a name
/// for their first extent ("B") and all that follows from it is a size; other sizes are numbers.
/// Throws Error(not_implemented), at its place in the config as DiagnosticError, where a layer or
/// function has no ONNX form, and Error(runtime) where the forward depends on numbers in its
/// inputs.
io::OnnxGraph to_onnx(Session& session);

}  // namespace nnm::run
