// What the verbs share: common options, output.
#include "cli/verb.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "kernels/parallel.h"
#include "nnm/base/error.h"
#include "nnm/base/signature.h"
#include "nnm/lang/diagnostic_formats.h"

namespace nnm::cli {

CLI::Validator such_as(const std::vector<std::string>& words) {
  return CLI::Validator([](std::string&) { return std::string(); },
                        fmt::format("{{{}}}", fmt::join(words, ",")));
}

CLI::Validator one_of(std::vector<std::string> words) {
  const std::string shown = such_as(words).get_description();
  return CLI::Validator(
      [words = std::move(words)](std::string& given) -> std::string {
        if (std::find(words.begin(), words.end(), given) != words.end()) return {};
        const std::string near = nearest(given, words);
        const std::string what = fmt::format("`{}` is none of {}", given, fmt::join(words, ", "));
        return near.empty() ? what : fmt::format("{}; did you mean `{}`?", what, near);
      },
      shown);
}

void add_format(CLI::App& app, std::string& format, std::vector<std::string> formats) {
  format = formats.front();
  app.add_option("--format", format, "how to answer")->check(one_of(std::move(formats)));
}

void add_overrides(CLI::App& app, lang::LoadOptions& config) {
  app.add_option("-p,--profile", config.profiles, "apply a profile of the config (repeatable)")
      ->allow_extra_args(false);
  // Told as they come: their order counts across both.
  const auto option = [&](const char* name, const char* prefix, const char* doc) {
    const auto take = [&config, prefix](const std::string& text) {
      config.set.push_back(prefix + text);
    };
    app.add_option_function<std::string>(name, take, doc)
        ->trigger_on_parse()
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  };
  option("--set", "", "replace a value of the config: path=value (repeatable)");
  option("--unset", "~", "take a value of the config away: path (repeatable)");
}

void add_diagnostics(CLI::App& app, std::string& format) {
  app.add_option("--diagnostics", format,
                 fmt::format("how to tell errors of the config: {}",
                             fmt::join(lang::diagnostic_formats(), ", ")))
      ->check(one_of(lang::diagnostic_formats()));
}

void add_no_hooks(CLI::App& app, bool& hooks) {
  app.add_flag_callback(
      "--no-hooks", [&hooks] { hooks = false; }, "leave the hooks of the config out");
}

Diagnostics diagnostics_of(const Error& e) {
  if (const auto* own = dynamic_cast<const DiagnosticError*>(&e)) return own->diagnostics;
  Diagnostics d;
  d.add({.message = e.what(), .help = e.hint()});
  return d;
}

void Compute::declare(CLI::App& app) {
  app.add_option("--device", device, "auto, cpu or cuda[:i]");
  app.add_option("--threads", threads, "threads to compute with (default: the cores allowed)")
      ->check(CLI::Range(1, 1024));
}

Device Compute::apply() const {
  if (threads > 0) set_num_threads(threads);
  if (device == "auto" || device == "cpu") return {};
  if (device.rfind("cuda", 0) == 0)
    throw Error(ErrorKind::device, "this build of nnm has no CUDA support", "use --device cpu");
  throw Error(ErrorKind::config, fmt::format("unknown device `{}`", device),
              "devices are auto, cpu and cuda[:i]");
}

void print(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size())
    throw Error(ErrorKind::output, "cannot write to standard output");
}

void print_line(std::string_view text) {
  print(text);
  print("\n");
}

bool colour(int fd) {
  const char* no = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  return isatty(fd) && !(no && *no) && term && std::string_view(term) != "dumb";
}

}  // namespace nnm::cli
