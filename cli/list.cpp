// nnm list: what can be named in a config, from the declarations that run it.
#include <memory>

#include "cli/verb.h"
#include "nnm/base/error.h"
#include "nnm/base/json.h"
#include "nnm/base/text_table.h"
#include "nnm/data/transform.h"
#include "nnm/nn/init.h"
#include "nnm/nn/module.h"
#include "nnm/ops/function.h"
#include "nnm/optim/schedule.h"
#include "nnm/trace/rule.h"
#include "nnm/train/metric.h"

namespace nnm::cli {

namespace {

struct Entry {
  std::string name, signature, doc;
};
using Entries = std::vector<Entry>;

template <class Base>
Entries registered() {
  Entries out;
  for (const auto& [name, e] : Registry<Base>::all())
    out.push_back({name, e.signature().text(), e.doc()});
  return out;
}

Entries functions() {
  Entries out;
  for (std::string_view name : function_names()) {
    const Function* f = find_function(name);
    out.push_back({std::string(name), f->signature().text(), f->doc});
  }
  return out;
}

Entries hooks() {
  Entries out;
  for (int i = 0; i < tracing::kHookKinds; ++i) {
    const auto kind = static_cast<tracing::HookKind>(i);
    const std::string name(tracing::name_of(kind));
    out.push_back({name, std::string("--hook ") + name + "[:SELECTOR]", tracing::doc_of(kind)});
  }
  return out;
}

Entries statistics() {
  Entries out;
  for (const std::string& s : tracing::statistic_names()) out.push_back({s, s, tracing::doc_of(s)});
  return out;
}

// The functions whose values a checkpoint can be kept by: which way they improve is known.
Entries metrics() {
  Entries out;
  for (Entry& e : functions())
    if (const std::optional<bool> larger = train::larger_is_better(e.name))
      out.push_back(
          {e.name, e.signature, e.doc + (*larger ? " (larger" : " (smaller") + " is better)"});
  return out;
}

struct Kind {
  const char* name;
  Entries (*entries)();
};
constexpr Kind kKinds[] = {{"modules", registered<Module>},
                           {"functions", functions},
                           {"optimizers", registered<optim::Optimizer>},
                           {"schedulers", registered<optim::Scheduler>},
                           {"metrics", metrics},
                           {"initializers", registered<Initializer>},
                           {"transforms", registered<data::Transform>},
                           {"hooks", hooks},
                           {"statistics", statistics},
                           {"rules", registered<tracing::Rule>}};

const Kind& find_kind(const std::string& name) {
  std::vector<std::string> names;
  for (const Kind& k : kKinds) {
    // `layers` and `module` are what people write, too.
    if (name == k.name || name + "s" == k.name) return k;
    names.emplace_back(k.name);
  }
  if (name == "layers" || name == "layer") return kKinds[0];
  const std::string near = nearest(name, names);
  std::string all;
  for (const std::string& n : names) all += (all.empty() ? "" : ", ") + n;
  throw Error(ErrorKind::config, fmt::format("nothing to list is called `{}`", name),
              near.empty() ? "there are " + all : fmt::format("did you mean `{}`?", near));
}

int run_list(const std::string& what, const std::string& format) {
  const Entries entries = find_kind(what).entries();
  if (format == "json") {
    Json j(2);
    j.array();
    for (const Entry& e : entries)
      j.object().entry("name", e.name).entry("signature", e.signature).entry("doc", e.doc).end();
    print_line(j.end().text());
    return 0;
  }
  if (format == "text") {
    for (const Entry& e : entries)
      print_line(e.signature + (e.doc.empty() ? "" : "\n    " + e.doc));
    return 0;
  }
  TextTable table({"name", "signature", "doc"}, 0);
  for (const Entry& e : entries) table.row({e.name, e.signature, e.doc});
  print(table.csv());
  return 0;
}

}  // namespace

Action list(App app) {
  struct Options {
    std::string what = "modules", format;
  };
  auto o = std::make_shared<Options>();
  std::vector<std::string> kinds;
  for (const Kind& k : kKinds) kinds.emplace_back(k.name);
  app.add_option("what", o->what, "what to list (default: modules)").such_as(kinds);
  add_format(app, o->format, {"text", "json", "csv"});
  return [o] { return run_list(o->what, o->format); };
}

}  // namespace nnm::cli
