// Composition: one config out of the files that it extends and imports.
#pragma once

#include <optional>
#include <vector>

#include "nnm/lang/tree.h"

namespace nnm::lang {

/// What a config is made of.
struct Composition {
  Tree tree;                     ///< without `extends`; an import is `{define, import}` of its file
  std::vector<SourceRef> files;  ///< those that were read beside the file itself
};

/// Reads a config with what it extends (`extends: base.yaml`, or a list of which later ones win;
/// chains) and imports (`import: {rn: lib/resnet.yaml}`; an imported file may import, too). Paths
/// are relative to the file in which they stand. An imported file is a config of which the classes
/// are taken: it needs no model, and its other sections have no effect here.
///
/// `known`: the only files there are, in place of those on the disk (a checkpoint carries them).
/// Throws DiagnosticError: files that cannot be read (E0101), circles with the whole chain (E0115),
/// and more than 64 files, chains of more than 16, or more than one config may hold in all (E0107).
Composition compose(const SourceRef& file, const std::optional<std::vector<SourceRef>>& known = {});

}  // namespace nnm::lang
