// Verbs of the program: how each declares its options, and what they share.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/app.h"
#include "kernels/view.h"
#include "nnm/base/diagnostic.h"
#include "nnm/lang/config.h"

namespace nnm::cli {

/// What a verb does once its options are read; gives the exit code (cli.md).
using Action = std::function<int()>;
/// Declares a verb's options on its part of the command line.
using Declare = Action (*)(App app);

struct Verb {
  std::string name;
  const char* doc;
  Declare declare;
};

/// All verbs in the order of the help; the table stands in main.cpp.
const std::vector<Verb>& verbs();

/// What the program's exit code means, the same for every verb.
struct ExitStatus {
  const char *code, *doc;
};
const std::vector<ExitStatus>& exit_statuses();

/// `--format`: how a reading verb answers. The first is the default.
void add_format(App app, std::string& format, std::vector<std::string> formats = {"text", "json"});

/// Options of every verb that reads a config: `-p NAME`, `--set path=value` and `--unset path`,
/// each in order.
void add_overrides(App app, lang::LoadOptions& config);

/// `--diagnostics`: how errors of configs are told. Verbs with `--set` have it.
void add_diagnostics(App app, std::string& format);
/// The diagnostics an error carries; of one without, itself as one that has no place.
Diagnostics diagnostics_of(const Error& e);

/// `--no-hooks`, which takes `hooks` away. A callback, since the help would name a negated flag by
/// the value that it gives.
void add_no_hooks(App app, bool& hooks);

/// `--device` and `--threads`, of every verb that computes.
struct Compute {
  std::string device;  ///< empty: not asked for, which is `auto` without a word
  int threads = 0;     ///< 0: what affinity and the control group allow
  void declare(App app);
  /// Sets the number of threads, and the device as this thread's default one; gives the device.
  /// `auto` is the first GPU, or else the CPU, and says so. Throws Error(device) saying why a GPU
  /// cannot be had, Error(config) for what is no device.
  Device apply() const;
};

/// Writes the verb's result to stdout. That nobody reads it any more, as behind `| head -1`, is no
/// error; throws Error(output) for what is one, such as a full disk.
void print(std::string_view text);
/// Says which file was written, as `--format` asks; nothing where it is standard output, in which
/// it would stand behind the file.
void print_written(const std::string& path, const std::string& format);
/// Hands on what print keeps. False where nobody reads it; throws as print does.
bool flush_output();
/// The same with a newline.
void print_line(std::string_view text);
/// Whether text for this stream (1 or 2) may be coloured: a terminal, no NO_COLOR, not `dumb`.
bool colour(int fd);

}  // namespace nnm::cli
