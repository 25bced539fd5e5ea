// What the verbs share: common options, output.
#include "cli/verb.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>

#include "kernels/cuda.h"
#include "kernels/parallel.h"
#include "nnm/base/error.h"
#include "nnm/base/log.h"
#include "nnm/base/signature.h"
#include "nnm/lang/diagnostic_formats.h"
#include "nnm/ops/ops.h"

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
  app.add_option("--device", device, "auto (the default), cpu or cuda[:i]");
  app.add_option("--threads", threads, "threads to compute with (default: the cores allowed)")
      ->check(CLI::Range(1, 1024));
}

namespace {

Device first_gpu(bool say) {
  const CudaPlugin& plugin = cuda_plugin();
  if (plugin.devices > 0) return {DeviceType::cuda, 0};
  if (say) log_note("computing on the CPU: {}", plugin.why);
  return {};
}

Device device_of(const std::string& text) {
  if (text.empty() || text == "auto") return first_gpu(!text.empty());
  if (text == "cpu") return {};
  Device d{DeviceType::cuda, 0};
  bool known = text == "cuda";
  if (text.starts_with("cuda:")) {
    const char *begin = text.data() + 5, *end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(begin, end, d.index);
    known = begin != end && error == std::errc() && stop == end && d.index >= 0;
  }
  if (!known)
    throw Error(ErrorKind::config, fmt::format("unknown device `{}`", text),
                "devices are auto, cpu and cuda[:i]");
  cuda_table(d);  // says why there is none
  return d;
}

}  // namespace

Device Compute::apply() const {
  if (threads > 0) set_num_threads(threads);
  const Device d = device_of(device);
  set_default_device(d);
  return d;
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
