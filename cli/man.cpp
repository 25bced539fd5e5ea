// nnm man: the manual page, in roff.
#include "cli/declared.h"
#include "cli/verb.h"
#include "nnm/base/error.h"

namespace nnm::cli {

namespace {

/// Text as roff reads it: no escapes, no requests, hyphens that can be copied.
std::string roff(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\') out += "\\e";
    else if (c == '-') out += "\\-";
    else out += c;
  }
  if (!out.empty() && (out[0] == '.' || out[0] == '\'')) out.insert(0, "\\&");
  return out;
}

std::string tagged(const std::string& tag, const std::string& text) {
  return fmt::format(".TP\n{}\n{}\n", tag, roff(text));
}

std::string option_tag(const DeclaredOption& o) {
  std::string out = ".B";
  std::string names;
  for (const std::string& name : o.names) names += (names.empty() ? "" : ", ") + roff(name);
  if (o.value.empty()) return out + " " + names;
  const std::string value = o.choices.empty() ? "\\fI" + roff(o.value) + "\\fP"
                                              : roff(fmt::format("{}", fmt::join(o.choices, "|")));
  return fmt::format("{} {} \\fR{}\\fP", out, names, value);
}

std::string section(const DeclaredVerb& v) {
  std::string out = fmt::format(".SS \"nnm {}", v.name);
  for (const DeclaredOption& a : v.arguments) {
    const std::string name = roff(a.value) + (a.many ? "\\&..." : "");
    out += a.required ? " " + name : " [" + name + "]";
  }
  out += fmt::format("\"\n{}.\n", roff(v.doc));
  for (const DeclaredOption& a : v.arguments)
    out +=
        tagged(fmt::format(".I {}", roff(a.value)),
               a.doc + (a.choices.empty() ? "" : fmt::format(": {}", fmt::join(a.choices, ", "))));
  for (const DeclaredOption& o : v.options) out += tagged(option_tag(o), o.doc);
  return out;
}

constexpr const char* kHead = R"(.TH NNM 1 "" "nnm )" NNM_VERSION R"(" "User commands"
.SH NAME
nnm \- PyTorch's nn.Module, without Python
.SH SYNOPSIS
.B nnm
.I verb
.RI [ file ]
.RI [ option ...]
.SH DESCRIPTION
A network is written in a YAML file, checked before it runs, trained, evaluated and traced through
its hooks; what is written lies in HDF5 files. A checkpoint or the folder of a run is taken wherever
a config is: it carries its config. Where no file is named,
.I ./nnm.yaml
is taken, else the newest run below
.IR runs/ .
.PP
Standard output is the result, standard error is for people. The options
.BR \-\-help ,
.B \-\-quiet
and
.B \-\-verbose
belong to every verb.
.SH VERBS
)";

constexpr const char* kTail = R"(.SH FILES
.TP
.I runs/<config>/<number>/
A run: config.yaml, resolved.yaml, events.jsonl, metrics.csv, status.json, checkpoints/*.h5.
.SH ENVIRONMENT
.TP
.B NO_COLOR
No colours, if set and not empty; likewise
.BR TERM=dumb .
.TP
.B CI
Progress in plain lines.
)";

}  // namespace

Action man(App app) {
  return [app] {
    std::string out = kHead;
    for (const DeclaredVerb& v : declared_verbs(app)) out += section(v);
    out += ".SH EXIT STATUS\n";
    for (const ExitStatus& s : exit_statuses()) out += tagged(fmt::format(".B {}", s.code), s.doc);
    print(out + kTail);
    return 0;
  };
}

}  // namespace nnm::cli
