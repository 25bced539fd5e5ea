// Reading `define:` and `import:` into namespaces.
#pragma once

#include <memory>

#include "nnm/lang/ast.h"

namespace nnm::lang {

/// The classes of a config whose imports stand in it (Composition), each parsed with the names of
/// its own file. A class that hides a layer is a warning.
std::shared_ptr<const Namespace> read_namespace(const Tree& config, Diagnostics& d,
                                                Diagnostics& warnings);

}  // namespace nnm::lang
