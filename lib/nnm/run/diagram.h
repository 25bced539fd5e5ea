// Diagrams: the tree of modules for programs that draw.
#pragma once

#include <string>

#include "nnm/run/summary.h"

namespace nnm::run {

/// A node per module with its name, type and the shapes of its outputs, an edge to each child; of a
/// shared module one node.
std::string to_dot(const Summary& s);
std::string to_mermaid(const Summary& s);

}  // namespace nnm::run
