// CSV with a header line: numeric columns.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "nnm/tensor/tensor.h"

namespace nnm::data {

/// Every column of the file, (rows): i64 if all entries are integers, else f32. Fields may stand in
/// double quotes; the separator is a comma, semicolon or tab, whichever the header has. Throws
/// Error(input_file) with file:line:column for what is not a number or a row of another length.
std::vector<std::pair<std::string, Tensor>> read_csv(const std::string& path);

}  // namespace nnm::data
