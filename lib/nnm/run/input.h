// Inputs of a model from a file: what `predict` and `trace` take as --input.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "nnm/run/session.h"

namespace nnm::run {

struct Input {
  std::unique_ptr<data::Loader> loader;  ///< all fields, in file order
  std::vector<train::Field> fields;      ///< of its batches
  train::InputBinding binding;           ///< of the model's inputs to them
  Value output;                          ///< what the model gives for a batch, on meta
};

/// Opens an HDF5 or npz file with one array per name of `inputs:` (or `0`, `1` … by position), or
/// one CSV, npy or idx file for a single input; a CSV file's columns are stacked where none is
/// called as the input. `data.transform` applies to raw files (idx, CSV); HDF5 and npy are taken as
/// they are, but for the type that the model wants. `batch` 0: that of the data, else 64. Throws
/// Error(input_file) for files, also as DiagnosticError where they do not fit the model's inputs.
Input open_input(Session& session, const std::string& path, int64_t batch = 0);

/// The shapes that the headers of such a file tell, of inputs that they fit; nothing of raw files,
/// for which it takes a loader. Throws Error(input_file).
lang::InputShapes input_shapes(const std::vector<lang::ModelInput>& inputs, const std::string& path,
                               int64_t batch);

}  // namespace nnm::run
