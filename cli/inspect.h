// What nnm inspect says of each kind of file.
#pragma once

#include <string>
#include <vector>

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

/// mean, std, min, max, norm, nan, inf, zero: what all formats say of a tensor's numbers. JSON has
/// the histogram as well, and a terminal a picture of it before them.
void write_statistics(Json& j, const io::Statistics& s);
void add_statistics(std::vector<std::string>& cells, const io::Statistics& s,
                    const std::string& format);
/// The heads of these columns, behind others.
void add_statistics_head(std::vector<std::string>& head, const std::string& format);

/// Eight heights of bars, from nothing to `most`; a blank for what is not a number.
std::string sparkline(const std::vector<double>& values, double least, double most);
/// The bins that hold something, between their outer edges: "-2 ▁▃█▂ 4".
std::string picture(const std::vector<double>& bins, const std::vector<double>& edges);
/// Of the histograms that the kernels make.
std::vector<double> histogram_edges();

}  // namespace nnm::cli
