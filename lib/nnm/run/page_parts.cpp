// Pictures as SVG, so that a page needs no other file and no program.
#include "nnm/run/page_parts.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "nnm/base/text.h"
#include "nnm/base/text_table.h"

namespace nnm::run {

namespace {

constexpr double kWidth = 640, kHeight = 240;                        // of a chart
constexpr double kLeft = 70, kTop = 30, kRight = 130, kBottom = 30;  // around its curves
constexpr size_t kMostPoints = 1000;  // of a curve: more cannot be seen
constexpr const char* kColours[] = {"#1f77b4", "#d62728", "#2ca02c", "#9467bd",
                                    "#ff7f0e", "#17becf", "#8c564b", "#e377c2"};

struct Bounds {
  double least = std::numeric_limits<double>::infinity();
  double most = -std::numeric_limits<double>::infinity();
  void see(double v) {
    least = std::min(least, v);
    most = std::max(most, v);
  }
  bool empty() const { return least > most; }
  double share(double v) const { return most > least ? (v - least) / (most - least) : 0.5; }
};

std::string label(double x, double y, const char* anchor, const std::string& text) {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>\n", x, y, anchor,
                     html_text(text));
}

/// Pieces of line between points that are not finite; one point alone is a dot.
std::string path(const Curve& curve, const Bounds& steps, const Bounds& values,
                 const char* colour) {
  std::string out, piece;
  size_t length = 0;
  double x = 0, y = 0;
  const auto end_piece = [&] {
    if (length == 1)
      out += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"2.5\" fill=\"{}\"/>\n", x, y,
                         colour);
    if (length > 1)
      out += fmt::format("<polyline fill=\"none\" stroke=\"{}\" points=\"{}\"/>\n", colour, piece);
    piece.clear();
    length = 0;
  };
  const size_t stride = (curve.points.size() + kMostPoints - 1) / kMostPoints;
  for (size_t i = 0; i < curve.points.size(); ++i) {
    if (i % stride && i + 1 < curve.points.size()) continue;
    const auto& [step, value] = curve.points[i];
    if (!std::isfinite(value)) {
      end_piece();
      continue;
    }
    x = kLeft + steps.share(step) * (kWidth - kLeft - kRight);
    y = kHeight - kBottom - values.share(value) * (kHeight - kTop - kBottom);
    piece += fmt::format("{}{:.1f},{:.1f}", length++ ? " " : "", x, y);
  }
  end_piece();
  return out;
}

}  // namespace

std::string html_text(std::string_view text) {
  std::string out;
  for (const char c : escape_terminal(text)) {
    if (c == '&') out += "&amp;";
    else if (c == '<') out += "&lt;";
    else if (c == '>') out += "&gt;";
    else if (c == '"') out += "&quot;";
    else out += c;
  }
  return out;
}

std::string html_lines(std::string_view text) {
  std::string out;
  for (size_t end; (end = text.find('\n')) != std::string_view::npos; text.remove_prefix(end + 1))
    out += html_text(text.substr(0, end)) + "\n";
  return out + html_text(text);
}

std::string html_table(const std::vector<std::string>& head,
                       const std::vector<std::vector<std::string>>& rows, size_t numbers) {
  std::string out = "<table>\n<tr>";
  for (const std::string& cell : head) out += "<th>" + html_text(cell) + "</th>";
  out += "</tr>\n";
  for (const std::vector<std::string>& row : rows) {
    out += "<tr>";
    for (size_t i = 0; i < row.size(); ++i)
      out += (i < numbers ? "<td>" : "<td class=\"n\">") + row[i] + "</td>";
    out += "</tr>\n";
  }
  return out + "</table>\n";
}

std::string svg_chart(const std::string& title, const std::vector<Curve>& curves) {
  Bounds steps, values;
  for (const Curve& c : curves)
    for (const auto& [step, value] : c.points)
      if (std::isfinite(value)) {
        steps.see(step);
        values.see(value);
      }
  if (values.empty()) return "";
  std::string out = fmt::format(
      "<svg class=\"chart\" viewBox=\"0 0 {0:.0f} {1:.0f}\" width=\"{0:.0f}\" height=\"{1:.0f}\" "
      "role=\"img\">\n<title>{2}</title>\n",
      kWidth, kHeight, html_text(title));
  out += fmt::format(
      "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" class=\"frame\"/>\n",
      kLeft, kTop, kWidth - kLeft - kRight, kHeight - kTop - kBottom);
  out += label(kLeft, kTop - 10, "start", title);
  out += label(kLeft - 5, kTop + 8, "end", short_number(values.most));
  out += label(kLeft - 5, kHeight - kBottom, "end", short_number(values.least));
  out += label(kLeft, kHeight - 10, "start", "step " + short_number(steps.least, 12));
  out += label(kWidth - kRight, kHeight - 10, "end", short_number(steps.most, 12));
  for (size_t i = 0; i < curves.size(); ++i) {
    const char* colour = kColours[i % std::size(kColours)];
    out += path(curves[i], steps, values, colour);
    const double y = kTop + 12 + 16 * static_cast<double>(i);
    out += fmt::format("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"10\" height=\"3\" fill=\"{}\"/>\n",
                       kWidth - kRight + 10, y - 4, colour);
    out += label(kWidth - kRight + 25, y, "start", curves[i].name);
  }
  return out + "</svg>\n";
}

std::string svg_bars(const std::vector<double>& counts, double least, double most) {
  const double highest = counts.empty() ? 0 : *std::max_element(counts.begin(), counts.end());
  if (!(highest > 0)) return "";
  constexpr double kBar = 4, kBarHeight = 24;
  const double width = kBar * static_cast<double>(counts.size());
  std::string out = fmt::format(
      "<svg class=\"bars\" viewBox=\"0 0 {0:.0f} {1:.0f}\" width=\"{0:.0f}\" height=\"{1:.0f}\">"
      "<title>{2} to {3}</title>",
      width, kBarHeight, short_number(least), short_number(most));
  for (size_t i = 0; i < counts.size(); ++i) {
    const double height = kBarHeight * counts[i] / highest;
    if (height > 0)
      out += fmt::format("<rect x=\"{:.0f}\" y=\"{:.1f}\" width=\"{:.0f}\" height=\"{:.1f}\"/>",
                         kBar * static_cast<double>(i), kBarHeight - height, kBar - 1, height);
  }
  return out + "</svg>";
}

}  // namespace nnm::run
