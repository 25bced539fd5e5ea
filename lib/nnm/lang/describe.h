// Descriptions: the values of a config one by one, and where each comes from.
#pragma once

#include <string>
#include <vector>

#include "nnm/lang/config.h"

namespace nnm::lang {

/// Where a value comes from: `base.yaml:12`, `profile debug`, `--set` or `default`.
std::string origin_of(const Tree& value);

/// A value of a config that holds no others.
struct ConfigValue {
  std::string path;    ///< as --set takes it: `train.max`, `data.transform[0]`
  std::string value;   ///< in one line
  std::string origin;  ///< as origin_of says
};
/// All of a tree, in order.
std::vector<ConfigValue> values_of(const Tree& tree);

/// A path that two configs give different values, "" where one has none.
struct ConfigDifference {
  std::string path;
  ConfigValue a, b;
};
/// In the order of the first, then what the second has besides.
std::vector<ConfigDifference> compare(const Tree& a, const Tree& b);

/// The tree as JSON: numbers, true, false and null as such, all else as strings.
std::string write_json(const Tree& tree);

}  // namespace nnm::lang
