// Small pictures of numbers in text.
#include <algorithm>
#include <cmath>

#include "cli/inspect.h"
#include "nnm/base/text_table.h"

namespace nnm::cli {

namespace {

constexpr size_t kPictureWidth = 24;

}  // namespace

std::string sparkline(const std::vector<double>& values, double least, double most) {
  static constexpr const char* kBars[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  std::string out;
  for (double v : values) {
    const double share = most > least ? (v - least) / (most - least) : 0;
    if (std::isfinite(v)) out += kBars[std::clamp(static_cast<int>(share * 8), 0, 7)];
    else out += " ";
  }
  return out;
}

std::string picture(const std::vector<double>& bins, const std::vector<double>& edges) {
  const auto filled = [](double n) { return n > 0; };
  const auto begin = std::find_if(bins.begin(), bins.end(), filled);
  if (begin == bins.end() || edges.size() != bins.size() + 1) return "";
  const auto end = std::find_if(bins.rbegin(), bins.rend(), filled).base();
  const auto count = static_cast<size_t>(end - begin);
  const size_t merged = (count + kPictureWidth - 1) / kPictureWidth;
  std::vector<double> bars((count + merged - 1) / merged, 0);
  for (size_t i = 0; i < count; ++i) bars[i / merged] += begin[static_cast<int64_t>(i)];
  return fmt::format("{} {} {}", short_number(edges[static_cast<size_t>(begin - bins.begin())], 2),
                     sparkline(bars, 0, *std::max_element(bars.begin(), bars.end())),
                     short_number(edges[static_cast<size_t>(end - bins.begin())], 2));
}

std::vector<double> histogram_edges() {
  std::vector<double> edges;
  for (int e = 0; e <= kHistogramBins; ++e) edges.push_back(histogram_edge(e));
  return edges;
}

}  // namespace nnm::cli
