// Where the tests find the sources, the program and data that may be missing.
#pragma once

#include <string>

namespace nnm::testing {

/// The root of the source tree.
std::string source_dir();
/// The nnm program of this build.
std::string nnm_binary();
/// The folder of a data set (`mnist`, `tinyshakespeare`) under $NNM_DATA_DIR or beside the source
/// tree, or "" after printing "skipped: no data".
std::string data_dir(const std::string& name);

}  // namespace nnm::testing
