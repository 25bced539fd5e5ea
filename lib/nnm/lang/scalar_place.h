// Places of a YAML scalar's bytes: yaml-cpp tells where it starts, its text tells the rest.
#pragma once

#include "nnm/lang/tree.h"

namespace nnm::lang {

struct PlacedScalar {
  Located text;
  Tree::Style style = Tree::Style::plain;
  size_t begin = 0, end = 0;  ///< in the source, quotes and indicators included
};

/// Lines the value up with the source, from the mark of its event on (which may stand at an anchor
/// or tag before it). What cannot be lined up is placed at the start.
PlacedScalar place_scalar(const SourceRef& file, size_t mark, const std::string& value, bool plain);

/// The next offset that is no blank, line break or comment.
size_t skip_to_content(std::string_view text, size_t at);

}  // namespace nnm::lang
