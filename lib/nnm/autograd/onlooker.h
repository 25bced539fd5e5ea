// Nodes that look at gradients and leave them as they are.
#pragma once

#include "nnm/autograd/node.h"

namespace nnm {

/// The name of such nodes, by whose address the engine knows them: a flag in Node would be one more
/// word to read at every other one.
extern const char kOnlookerName[];

/// Whether the engine hands what arrives at this node on at once, as if it were not there. So sums
/// of gradients are rounded in the order in which they are without it; what the node gives back is
/// not looked at. Hooks on it may replace gradients: it is an ordinary node then.
inline bool looks_on(const Node& n) { return n.name == kOnlookerName && !n.has_hooks(); }

}  // namespace nnm
