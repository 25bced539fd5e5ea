// Pieces of an HTML page. Private to lib/nnm/run.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace nnm::run {

/// Text as HTML shows it: what is markup, or no text at all, is written so that it is neither.
std::string html_text(std::string_view text);
/// The same of several lines, which stay so in a `<pre>`.
std::string html_lines(std::string_view text);

/// A table: `head`, then rows whose cells are HTML already. Cells from `numbers` on are set right.
std::string html_table(const std::vector<std::string>& head,
                       const std::vector<std::vector<std::string>>& rows, size_t numbers);

/// A line of a chart, by the step; points that are not finite leave a gap.
struct Curve {
  std::string name;
  std::vector<std::pair<double, double>> points;
};
/// A picture (SVG) of curves over one axis of steps, with the ends of both axes and a legend; ""
/// where no curve has a finite point.
std::string svg_chart(const std::string& title, const std::vector<Curve>& curves);
/// A small picture of how many there are in each bin, from `least` to `most`; "" for no counts.
std::string svg_bars(const std::vector<double>& counts, double least, double most);

}  // namespace nnm::run
