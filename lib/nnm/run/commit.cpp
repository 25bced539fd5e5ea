// A file of its own: every commit compiles it anew.
#include "nnm/run/commit.h"

namespace nnm::run {

const char* built_commit() { return NNM_COMMIT; }

}  // namespace nnm::run
