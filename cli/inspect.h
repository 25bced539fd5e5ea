// What nnm inspect says of each kind of file.
#pragma once

#include <string>

namespace nnm::cli {

struct InspectOptions {
  std::string file, select, rules, format;
  bool config = false, best = false;
};

/// The whole answer about the file at `path`, of its kind. Throws Error(input_file) for files that
/// cannot be read, Error(config) for a selector that matches nothing.
std::string inspect_checkpoint(const std::string& path, const InspectOptions& o);
std::string inspect_trace(const std::string& path, const InspectOptions& o);
std::string inspect_other(const std::string& path, const InspectOptions& o);
/// What rules find in a trace.
std::string inspect_rules(const std::string& path, const InspectOptions& o);

/// A number as a format shows it: four digits for people, all of them in csv.
std::string cell(double x, const std::string& format);

}  // namespace nnm::cli
