// Nodes and edges as Graphviz and Mermaid read them.
#include "nnm/run/diagram.h"

#include <map>

#include "nnm/base/text.h"
#include "nnm/base/text_table.h"

namespace nnm::run {

namespace {

/// Name, type and shapes; what a language writes for the end of a line, and for a quote.
std::string label(const ModuleSummary& m, const char* line, const char* quote) {
  const size_t dot = m.name.rfind('.');
  const std::string name = dot == std::string::npos ? m.name : m.name.substr(dot + 1);
  std::string text = name.empty() ? m.type : name + ": " + m.type, out;
  for (const std::vector<int64_t>& shape : m.outputs) text += "\n" + shape_cell(shape);
  for (const char c : text) {
    if (c == '\n') out += line;
    else if (c == '"') out += quote;
    else out += c;
  }
  return out;
}

/// Calls `node` with a number and a module, and `edge` with those of a module and of its child.
template <class Node, class Edge>
void visit(const Summary& s, const Node& node, const Edge& edge) {
  std::map<std::string, size_t> numbers;
  for (const ModuleSummary& m : s.modules) {
    const bool shared = !m.alias_of.empty();
    const size_t number = shared ? numbers[m.alias_of] : numbers.size();
    numbers[m.name] = number;
    if (!shared) node(number, m);
    if (m.name.empty()) continue;
    const size_t dot = m.name.rfind('.');
    edge(numbers[dot == std::string::npos ? "" : m.name.substr(0, dot)], number);
  }
}

}  // namespace

std::string to_dot(const Summary& s) {
  std::string out = "digraph model {\n  node [shape=box];\n";
  visit(
      s,
      [&](size_t n, const ModuleSummary& m) {
        out += fmt::format("  n{} [label=\"{}\"];\n", n, label(m, "\\n", "\\\""));
      },
      [&](size_t from, size_t to) { out += fmt::format("  n{} -> n{};\n", from, to); });
  return out + "}\n";
}

std::string to_mermaid(const Summary& s) {
  std::string out = "flowchart TD\n";
  visit(
      s,
      [&](size_t n, const ModuleSummary& m) {
        out += fmt::format("  n{}[\"{}\"]\n", n, label(m, "<br>", "#quot;"));
      },
      [&](size_t from, size_t to) { out += fmt::format("  n{} --> n{}\n", from, to); });
  return out;
}

}  // namespace nnm::run
