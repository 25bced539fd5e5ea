// nnm version.
#include "cli/verb.h"

namespace nnm::cli {

Action version(CLI::App&) {
  return [] {
    print_line(std::string("nnm ") + NNM_VERSION);
    return 0;
  };
}

}  // namespace nnm::cli
