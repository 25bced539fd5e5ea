// JSON, SARIF 2.1.0 (OASIS) and the workflow commands of GitHub.
#include "nnm/lang/diagnostic_formats.h"

#include <algorithm>
#include <cctype>

#include "nnm/base/json.h"
#include "nnm/base/text.h"
#include "nnm/lang/explain.h"

namespace nnm::lang {

namespace {

using Files = std::vector<Diagnostics>;

bool good(const Files& files) {
  return std::none_of(files.begin(), files.end(), [](const auto& d) { return d.has_errors(); });
}

/// Calls f for the warnings and the first kMaxErrors errors of each file; how many errors it
/// leaves.
template <class F>
size_t for_each_shown(const Files& files, const F& f) {
  size_t left = 0;
  for (const Diagnostics& file : files) {
    size_t errors = 0;
    for (const Diagnostic& d : file.all()) {
      if (d.is_warning() || ++errors <= Diagnostics::kMaxErrors) f(d);
      else ++left;
    }
  }
  return left;
}

/// A note with its place, as the text shows it.
std::string whole(const Note& n) {
  if (!n.span) return n.text;
  return fmt::format("{} ({}:{}:{})", n.text, n.span.file->path, n.span.line, n.span.column);
}

std::string text(const Files& files, bool colour) {
  std::string out;
  for (const Diagnostics& file : files) {
    const std::string one = file.render(colour);
    if (!out.empty() && !one.empty()) out += '\n';
    out += one;
  }
  return out;
}

void write_json(Json& j, const Diagnostic& d) {
  j.object().entry("code", d.code).entry("message", d.message);
  j.entry("file", d.span ? d.span.file->path : "");
  j.entry("line", d.span.line)
      .entry("column", d.span.column)
      .entry("end_column", d.span.end_column);
  j.entry("help", d.help).key("notes").array();
  for (const Note& n : d.notes) j.value(whole(n));
  j.end().end();
}

std::string json(const Files& files) {
  Json j(2);
  j.object().key("diagnostics").array();
  const size_t more = for_each_shown(files, [&](const Diagnostic& d) { write_json(j, d); });
  j.end();
  if (more > 0) j.entry("more", static_cast<uint64_t>(more));
  return j.entry("ok", good(files)).end().text() + "\n";
}

/// A path as a URI, relative where the path is.
std::string uri(const std::string& path) {
  std::string out = path.starts_with('/') ? "file://" : "";
  for (const char c : path) {
    if (std::isalnum(static_cast<unsigned char>(c)) ||
        std::string_view("-._~/").find(c) != std::string_view::npos)
      out += c;
    else out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

void write_place(Json& j, const Span& s) {
  j.key("physicalLocation").object();
  j.key("artifactLocation").object().entry("uri", uri(s.file->path)).end();
  if (s.line > 0) {
    const int column = std::max(1, s.column);
    j.key("region").object().entry("startLine", s.line).entry("startColumn", column);
    j.entry("endLine", s.line).entry("endColumn", std::max(column, s.end_column)).end();
  }
  j.end();
}

const char* level(bool warning) { return warning ? "warning" : "error"; }

void write_rule(Json& j, const CodeInfo& c) {
  const auto field = [&](const char* name, const std::string& text) {
    j.key(name).object().entry("text", text).end();
  };
  j.object().entry("id", c.code);
  field("shortDescription", c.title);
  field("fullDescription", c.text);
  field("help", explain(c));
  j.key("defaultConfiguration").object().entry("level", level(c.code[0] == 'W')).end().end();
}

void write_result(Json& j, const Diagnostic& d) {
  j.object();
  if (const CodeInfo* info = find_code(d.code)) {
    j.entry("ruleId", info->code);
    j.entry("ruleIndex", static_cast<int64_t>(info - codes().data()));
  }
  j.entry("level", level(d.is_warning()));
  const std::string help = d.help.empty() ? "" : "\nhelp: " + d.help;
  j.key("message").object().entry("text", d.message + help).end();
  if (d.span) {
    j.key("locations").array().object();
    write_place(j, d.span);
    j.end().end();
  }
  if (!d.notes.empty()) {
    j.key("relatedLocations").array();
    for (const Note& n : d.notes) {
      j.object().key("message").object().entry("text", n.text).end();
      if (n.span) write_place(j, n.span);
      j.end();
    }
    j.end();
  }
  j.end();
}

std::string sarif(const Files& files) {
  Json j(2);
  j.object().entry("$schema", "https://json.schemastore.org/sarif-2.1.0.json");
  j.entry("version", "2.1.0").key("runs").array().object();
  j.key("tool").object().key("driver").object();
  j.entry("name", "nnm").entry("version", NNM_VERSION).key("rules").array();
  for (const CodeInfo& c : codes()) write_rule(j, c);
  j.end().end().end();
  j.entry("columnKind", "unicodeCodePoints").key("results").array();
  for_each_shown(files, [&](const Diagnostic& d) { write_result(j, d); });
  return j.end().end().end().end().text() + "\n";
}

/// What GitHub reads back as `text`: in properties `:` and `,` mean something, too.
std::string github_escape(std::string_view text, std::string_view special) {
  std::string out;
  for (const char c : text) {
    if (special.find(c) == std::string_view::npos) out += c;
    else out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

std::string github(const Files& files) {
  constexpr std::string_view kData = "%\r\n", kProperty = "%\r\n:,";
  std::string out;
  for_each_shown(files, [&](const Diagnostic& d) {
    std::string properties;
    const auto property = [&](const char* name, const std::string& value) {
      properties += fmt::format("{}{}={}", properties.empty() ? " " : ",", name,
                                github_escape(value, kProperty));
    };
    if (d.span) {
      property("file", d.span.file->path);
      if (d.span.line > 0) {
        property("line", std::to_string(d.span.line));
        property("col", std::to_string(d.span.column));
        property("endColumn", std::to_string(d.span.end_column));
      }
    }
    if (!d.code.empty()) property("title", d.code);
    std::string message = d.message;
    if (!d.help.empty()) message += "\nhelp: " + d.help;
    for (const Note& n : d.notes) message += "\nnote: " + whole(n);
    out += fmt::format("::{}{}::{}\n", level(d.is_warning()), properties,
                       escape_terminal(github_escape(message, kData)));
  });
  return out;
}

}  // namespace

const std::vector<std::string>& diagnostic_formats() {
  static const std::vector<std::string> all = {"text", "json", "sarif", "github"};
  return all;
}

std::string format_diagnostics(const std::vector<Diagnostics>& files, std::string_view format,
                               bool colour) {
  if (format == "text") return text(files, colour);
  if (format == "json") return json(files);
  if (format == "sarif") return sarif(files);
  NNM_CHECK(format == "github", value, "unknown format `{}`", format);
  return github(files);
}

}  // namespace nnm::lang
