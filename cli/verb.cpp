// What the verbs share: common options, output.
#include "cli/verb.h"

#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>

#include "cli/dry_run.h"
#include "kernels/cuda.h"
#include "kernels/parallel.h"
#include "nnm/base/error.h"
#include "nnm/base/json.h"
#include "nnm/base/log.h"
#include "nnm/base/output.h"
#include "nnm/lang/diagnostic_formats.h"
#include "nnm/ops/ops.h"

namespace nnm::cli {

void add_format(App app, std::string& format, std::vector<std::string> formats) {
  format = formats.front();
  app.add_option("--format", format, "how to answer").one_of(std::move(formats));
}

void add_overrides(App app, lang::LoadOptions& config) {
  app.add_option("-p,--profile", config.profiles, "apply a profile of the config (repeatable)")
      .repeatable();
  const auto option = [&](const char* name, const char* prefix, const char* doc) {
    app.add_each(
        name, [&config, prefix](const std::string& text) { config.set.push_back(prefix + text); },
        doc);
  };
  // Their order counts across both.
  option("--set", "", "replace a value of the config: path=value (repeatable)");
  option("--unset", "~", "take a value of the config away: path (repeatable)");
}

void add_diagnostics(App app, std::string& format) {
  app.add_option("--diagnostics", format,
                 fmt::format("how to tell errors of the config: {}",
                             fmt::join(lang::diagnostic_formats(), ", ")))
      .one_of(lang::diagnostic_formats());
}

void add_no_hooks(App app, bool& hooks) {
  app.add_flag(
      "--no-hooks", [&hooks] { hooks = false; }, "leave the hooks of the config out");
}

Diagnostics diagnostics_of(const Error& e) {
  if (const auto* own = dynamic_cast<const DiagnosticError*>(&e)) return own->diagnostics;
  Diagnostics d;
  d.add({.message = e.what(), .help = e.hint()});
  return d;
}

void Compute::declare(App app) {
  app.add_option("--device", device, "auto (the default), cpu or cuda[:i]");
  app.add_option("--threads", threads, "threads to compute with (default: the cores allowed)")
      .between(1, 1024);
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

namespace {

bool read_by_somebody(bool written) {
  if (!written && errno != EPIPE) fail(ErrorKind::output, "cannot write to standard output");
  return written;
}

}  // namespace

void print(std::string_view text) {
  read_by_somebody(std::fwrite(text.data(), 1, text.size(), stdout) == text.size());
}

bool flush_output() { return read_by_somebody(std::fflush(stdout) == 0); }

void print_line(std::string_view text) {
  print(text);
  print("\n");
}

void print_written(const std::string& path, const std::string& format) {
  if (own_descriptor(path) == STDOUT_FILENO) return;
  print_line(format == "json" ? Json().object().entry("path", path).end().text() : path);
}

void print_planned(const std::string& path, const std::string& format) {
  print_line(format == "json"
                 ? Json().object().entry("path", path).entry("dry_run", true).end().text()
                 : "would write " + path);
}

bool colour(int fd) {
  const char* no = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  return isatty(fd) && !(no && *no) && term && std::string_view(term) != "dumb";
}

}  // namespace nnm::cli
