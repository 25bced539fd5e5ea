// Pieces of PyTorch's printed forms.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

#include "nnm/base/spec.h"

namespace nnm {

class Module;

/// The text with every line after the first moved right by two spaces.
std::string indented(const std::string& text);

/// What torch.typename calls a module: "torch.nn.modules.linear.Linear". A class that is not one of
/// PyTorch's has its own name alone.
std::string full_type_name(const Module& m);

/// "name=value" for each of the names in turn, as Python writes the values: what most extra_repr
/// are. A name that ends in `?` is left out where its value is the default; one that begins with
/// `=` shows its value alone.
std::string arguments_text(const Signature& signature, const Values& values,
                           std::initializer_list<std::string_view> names);
template <class Options>
std::string arguments_text(const Spec<Options>& spec, const Options& options,
                           std::initializer_list<std::string_view> names) {
  return arguments_text(spec.signature(), spec.write(options), names);
}

}  // namespace nnm
