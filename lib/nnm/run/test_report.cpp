// What is said of tests: to people, as JSON, as JUnit's XML.
#include "nnm/base/json.h"
#include "nnm/base/text.h"
#include "nnm/run/tests.h"

namespace nnm::run {

namespace {

using Status = TestOutcome::Status;

const char* status_name(Status s) {
  switch (s) {
    case Status::passed: return "passed";
    case Status::failed: return "failed";
    case Status::error: return "error";
    case Status::skipped: break;
  }
  return "skipped";
}

std::string file_of(const TestOutcome& t) { return t.place ? t.place.file->path : ""; }

std::string indented(const std::string& text) {
  std::string out = "    ";
  for (const char c : text) {
    out += c;
    if (c == '\n') out += "    ";
  }
  return out + "\n";
}

/// What a failure is about, in one text.
std::string details(const TestOutcome& t) {
  std::string out;
  const bool lines = (t.left + t.right).find('\n') != std::string::npos;
  const char* gap = lines ? "\n" : " ";
  if (!t.left.empty()) out += fmt::format("left:{0}{1}\nright:{0}{2}", gap, t.left, t.right);
  if (!t.message.empty()) out += (out.empty() ? "" : "\n") + t.message;
  return out;
}

/// Text as XML may hold it, in attributes too: characters that it cannot hold are replaced.
std::string xml(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const auto c = static_cast<unsigned char>(text[i]);
    const size_t n = utf8_length(text.substr(i));
    const std::string_view character = text.substr(i, n);
    // U+FFFE and U+FFFF are no characters of XML.
    const bool none = character == "\xef\xbf\xbe" || character == "\xef\xbf\xbf";
    if (c == '&') out += "&amp;";
    else if (c == '<') out += "&lt;";
    else if (c == '>') out += "&gt;";
    else if (c == '"') out += "&quot;";
    else if (c == '\n') out += "&#10;";
    else if (c == '\t') out += "&#9;";
    else if (n == 0 || c < 0x20 || none) out += "\xef\xbf\xbd";
    else out += character;
    i += n ? n : 1;
  }
  return out;
}

}  // namespace

std::string to_text(const TestOutcome& t, bool colour) {
  const bool good = t.status == Status::passed || t.status == Status::skipped;
  const char* paint = good ? "\x1b[32m" : "\x1b[1;31m";
  const std::string status = colour ? paint + std::string(status_name(t.status)) + "\x1b[0m"
                                    : std::string(status_name(t.status));
  std::string out =
      fmt::format("{}:{}: {}: {}\n", file_of(t), t.place.line, status, escape_terminal(t.text));
  const std::string more = details(t);
  if (!more.empty()) out += indented(more);
  return out;
}

std::string summary_line(const TestReport& r) {
  std::vector<std::string> parts;
  for (const Status status : {Status::passed, Status::failed, Status::error, Status::skipped}) {
    const int64_t n = r.count(status);
    if (!n) continue;
    const bool error = status == Status::error;
    parts.push_back(error ? counted(n, "error") : fmt::format("{} {}", n, status_name(status)));
  }
  return fmt::format("{}: {}", counted(std::ssize(r.tests), "test"), fmt::join(parts, ", "));
}

std::string to_json(const TestReport& r) {
  Json j(2);
  j.object().entry("config", r.config);
  j.entry("passed", r.count(Status::passed)).entry("failed", r.count(Status::failed));
  j.entry("errors", r.count(Status::error)).entry("seconds", r.seconds()).key("tests").array();
  for (const TestOutcome& t : r.tests) {
    j.object().entry("name", t.text).entry("file", file_of(t));
    j.entry("line", t.place.line).entry("column", t.place.column);
    j.entry("status", status_name(t.status)).entry("seconds", t.seconds);
    for (const auto& [key, text] :
         {std::pair{"left", &t.left}, {"right", &t.right}, {"message", &t.message}}) {
      j.key(key);
      if (text->empty()) j.value(nullptr);
      else j.value(*text);
    }
    j.end();
  }
  return j.end().end().text();
}

std::string to_junit(const TestReport& r) {
  const std::string counts =
      fmt::format("tests=\"{}\" failures=\"{}\" errors=\"{}\" time=\"{:.3f}\"", r.tests.size(),
                  r.count(Status::failed), r.count(Status::error), r.seconds());
  std::string out = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
  out += fmt::format("<testsuites name=\"nnm\" {}>\n", counts);
  out += fmt::format("  <testsuite name=\"{}\" {} skipped=\"0\">\n", xml(r.config), counts);
  for (const TestOutcome& t : r.tests) {
    out += fmt::format(
        "    <testcase classname=\"{}\" name=\"{}\" file=\"{}\" line=\"{}\" time=\"{:.3f}\"",
        xml(r.config), xml(t.text), xml(file_of(t)), t.place.line, t.seconds);
    if (t.status == Status::passed) {
      out += "/>\n";
      continue;
    }
    const std::string more = details(t);
    const std::string first = more.substr(0, more.find('\n'));
    const char* element = t.status == Status::failed ? "failure" : "error";
    out += fmt::format(">\n      <{0} type=\"{1}\" message=\"{2}\">{3}</{0}>\n    </testcase>\n",
                       element, t.status == Status::failed ? "AssertionError" : "Error", xml(first),
                       xml(more));
  }
  return out + "  </testsuite>\n</testsuites>\n";
}

}  // namespace nnm::run
