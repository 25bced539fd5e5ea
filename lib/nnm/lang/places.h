// Places: what a dotted path such as `train.max` or `hooks.guard.enabled` means in a config.
#pragma once

#include "nnm/lang/sections.h"
#include "nnm/lang/tree.h"

namespace nnm::lang {

/// A place in a config, which the file may have or could have.
struct Place {
  Tree* node = nullptr;        ///< null where the file has it not
  const Form* form = nullptr;  ///< null where the file alone says what there is
  Tree* parent = nullptr;      ///< what holds it; null for the whole and where `node` is null
};

/// A path that means nothing in the config.
struct PathError {
  std::string message;
  Span span;
  std::string help;
};

/// Whether a place that the sections know and the file has not is made.
enum class Missing : uint8_t { keep, make };

/// Finds the place below `start` that a path means: keys with dots between them (of keys that hold
/// dots the longest), `[2]`, `[-1]`, and the `name` of a list's item. `before` is the path of
/// `start` itself, for messages. Throws PathError with what is near.
Place find_place(const Place& start, const Located& path, Missing missing,
                 const std::string& before = {});
/// The whole config, to start from.
Place whole_config(Tree& root);

}  // namespace nnm::lang
