// Where the tests find the sources, the program and data that may be missing.
#include "support/paths.h"

#include <cstdio>
#include <cstdlib>
#include <filesystem>

namespace nnm::testing {

std::string source_dir() { return NNM_SOURCE_DIR; }
std::string nnm_binary() { return NNM_BINARY; }

std::string data_dir(const std::string& name) {
  const char* asked = std::getenv("NNM_DATA_DIR");
  for (const std::string& base : {std::string(asked ? asked : ""), source_dir() + "/../shared/data",
                                  source_dir() + "/configs/data"}) {
    if (!base.empty() && std::filesystem::is_directory(base + "/" + name)) return base + "/" + name;
  }
  std::printf("skipped: no data (%s)\n", name.c_str());
  return {};
}

}  // namespace nnm::testing
