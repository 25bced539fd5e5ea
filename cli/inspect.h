// What nnm inspect says of each kind of file.
#pragma once

#include <string>

#include "nnm/base/json.h"
#include "nnm/io/inspect.h"

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

/// mean, std, min, max, norm, nan, inf, zero: what all formats say of a tensor's numbers.
void write_statistics(Json& j, const io::Statistics& s);
void add_statistics(std::vector<std::string>& cells, const io::Statistics& s,
                    const std::string& format);

}  // namespace nnm::cli
