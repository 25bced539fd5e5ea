// What the names of a class mean in its forward.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "nnm/lang/forward.h"

namespace nnm::lang {

/// Arguments and lets, children, parameters and buffers of one instance of a class.
class ForwardNames {
 public:
  explicit ForwardNames(const ForwardScope& scope);

  /// An argument or let, or null.
  NodeRef value(const std::string& path, const Span& at) const;
  /// A child, or one below a child, or null.
  NodeRef child(const std::string& path, const Span& at) const;
  /// A child, parameter or buffer, or one below a child; `none` for one that the class declares
  /// under a condition that does not hold here, or as `name: none`; or null.
  NodeRef member(const std::string& path, const Span& at) const;
  /// What a child was made with, `fc.in_features`, `encoder.width`, or null.
  NodeRef made_with(const std::string& path, const Span& at) const;
  /// Whether the class declares it, though this instance is without it.
  bool left_out(const std::string& name) const;
  /// Whether a parameter or buffer has this name.
  bool is_tensor(const std::string& name) const;
  /// Whether the name means something here, so that it is no input.
  bool known(const std::string& name) const;
  /// All that stand by themselves, children left out.
  void list(std::vector<std::string>& out) const;

 private:
  const ForwardScope& scope_;
  std::set<std::string> declared_;  ///< plain names of `modules`, `params` and `buffers`
};

}  // namespace nnm::lang
