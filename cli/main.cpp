// The nnm program but for its main: the table of verbs, and how every fault becomes a message and
// an exit code.
#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <new>

#include "cli/escape.h"
#include "cli/verb.h"
#include "nnm/base/diagnostic.h"
#include "nnm/base/file.h"
#include "nnm/base/log.h"
#include "nnm/base/signature.h"
#include "nnm/base/text.h"
#include "nnm/cli.h"
#include "nnm/lang/diagnostic_formats.h"

namespace nnm::cli {

// One row a verb, in the order of the help; each is `Action verb(App)` in a file of its name.
// What is a word of C++ has an underscore there.
#define NNM_VERBS(V)                                                       \
  V(init, "write a commented starter config")                              \
  V(check, "check names, types, shapes and settings without data")         \
  V(summary, "modules, shapes, parameters, FLOPs and memory")              \
  V(train, "train a network in a run folder of its own")                   \
  V(eval, "loss and metrics of a trained network over a split")            \
  V(predict, "the outputs of a trained network for the samples of a file") \
  V(test, "run the tests that a config holds")                             \
  V(sample, "text from a trained language model")                          \
  V(bench, "time and memory of every module, forward and backward")        \
  V(trace, "record what hooks see into HDF5")                              \
  V(verify, "check the checksums and structure of checkpoints and traces") \
  V(inspect, "look into a checkpoint, a trace or any HDF5 file")           \
  V(config, "what a config comes to, and where each value is from")        \
  V(diff, "where two checkpoints or traces differ")                        \
  V(export_, "weights and diagrams for other programs")                    \
  V(import_, "weights of other programs as a checkpoint")                  \
  V(report, "one page about a run: curves, modules, histograms, traces")   \
  V(list, "what can be named in a config: modules, functions, …")          \
  V(explain, "what the code of an error means, with an example")           \
  V(schema, "the JSON Schema of configs, for editors")                     \
  V(completion, "completion of the command line, for your shell")          \
  V(man, "the manual page, in roff: nnm man | man -l -")                   \
  V(doctor, "this build and this machine")                                 \
  V(selftest, "whether a GPU computes what the CPU computes")              \
  V(version, "the version")                                                \
  V(help, "this help, or that of a verb")

#define NNM_DECLARE(verb, doc) Action verb(App app);
NNM_VERBS(NNM_DECLARE)
#undef NNM_DECLARE

const std::vector<Verb>& verbs() {
#define NNM_ROW(verb, doc) {std::string(#verb, std::strcspn(#verb, "_")), doc, verb},
  static const std::vector<Verb> table = {NNM_VERBS(NNM_ROW)};
#undef NNM_ROW
  return table;
}

const std::vector<ExitStatus>& exit_statuses() {
  static const std::vector<ExitStatus> all = {
      {"0", "done"},
      {"1",
       "a negative result: an assertion or a test is false, files differ, a rule stopped a run"},
      {"2", "the command line or the config is wrong"},
      {"3", "an input file (data, checkpoint, trace) is missing, damaged or does not fit"},
      {"4", "something could not be written"},
      {"5", "diverged: NaN or Inf"},
      {"6", "the device is not there, or memory ran out"},
      {"70", "an error of nnm itself"},
      {"75", "stopped by --time-limit; to be resumed"},
      {"130, 143", "ended by SIGINT, SIGTERM; to be resumed"}};
  return all;
}

namespace {

constexpr int kUsage = 2;
constexpr int kInternal = 70;
constexpr int kOutOfMemory = 6;

void say(const std::string& kind, const std::string& message, const std::string& help) {
  const bool paint = colour(2);
  std::string out = (paint ? "\x1b[1;31m" + kind + "\x1b[0m" : kind) + ": ";
  out += escape_lines(message);
  out += "\n";
  if (!help.empty()) out += "  = help: " + escape_terminal(help) + "\n";
  std::fputs(out.c_str(), stderr);
}

/// Runs f and turns what it throws into a message on stderr and an exit code.
template <class F>
int guarded(const std::string& diagnostics, const F& f) {
  try {
    return f();
  } catch (const Error& e) {
    if (diagnostics != "text" || dynamic_cast<const DiagnosticError*>(&e)) {
      const std::string text =
          lang::format_diagnostics({diagnostics_of(e)}, diagnostics, colour(2));
      std::fputs(text.c_str(), stderr);
      return exit_code(e.kind());
    }
    std::string message = e.what();
    if (!e.module_path().empty()) message += fmt::format(" (in module `{}`)", e.module_path());
    say(e.kind() == ErrorKind::internal ? "internal error" : "error", message, e.hint());
    return exit_code(e.kind());
  } catch (const std::bad_alloc&) {
    say("error", "out of memory", "");
    return kOutOfMemory;
  } catch (const std::exception& e) {
    say("internal error", e.what(), "");
    return kInternal;
  }
}

/// What to do with an option that was given before the verb, or without one.
std::string order_advice(const CLI::App& app, const CLI::App& verb, const std::string& option) {
  if (!option.starts_with('-')) return "";
  const auto has = [&](const CLI::App& a) { return a.get_option_no_throw(option) != nullptr; };
  if (&verb != &app)
    return has(verb) ? fmt::format("options stand behind the verb: `nnm {} … {}`", verb.get_name(),
                                   option)
                     : "";
  const auto verbs = app.get_subcommands([&](const CLI::App* a) { return has(*a); });
  return verbs.empty() ? "" : fmt::format("options stand behind a verb: `nnm VERB … {}`", option);
}

/// The words that nothing took. A `--`, behind which there are no options, is none of them.
std::vector<std::string> extras(const CLI::App& app) {
  std::vector<std::string> words = app.remaining(true);
  const auto mark = std::find(words.begin(), words.end(), "--");
  if (mark != words.end()) words.erase(mark);
  return words;
}

/// What the parser says, but how often an option was given, which it tells in numbers.
std::string told(const CLI::ParseError& e) {
  std::string text = e.what();
  const size_t colon = text.find(": ");
  if (colon == std::string::npos || !dynamic_cast<const CLI::ArgumentMismatch*>(&e)) return text;
  const bool missing = text.find(" missing", colon) != std::string::npos;
  return text.substr(0, colon) + (missing ? " needs a value" : " is given more than once");
}

/// The verb that is missing before a file.
std::string verb_advice(const std::string& word) {
  const auto ends = [&](const char* end) { return word.ends_with(end); };
  const bool config = ends(".yaml") || ends(".yml");
  std::error_code ignored;
  if (!config && !std::filesystem::exists(word, ignored)) return "";
  const bool run = std::filesystem::is_directory(word, ignored);
  return fmt::format("a verb comes first: `nnm {} {}`",
                     config ? "train"
                     : run  ? "eval"
                            : "inspect",
                     word);
}

/// What to write for an option of other programs; "" where the verb cannot do that.
std::string other_option(const CLI::App& verb, const std::string& word) {
  struct Known {
    const char *word, *has, *advice;
  };
  static constexpr Known kKnown[] = {
      {"--epochs", "--max", "write `--max '10 epochs'`"},
      {"--num-epochs", "--max", "write `--max '10 epochs'`"},
      {"--steps", "--max", "write `--max '5000 steps'`"},
      {"--lr", "--set", "write `--set 'train.optimizer=AdamW(lr=3e-4)'`"},
      {"--learning-rate", "--set", "write `--set 'train.optimizer=AdamW(lr=3e-4)'`"},
      {"--optimizer", "--set", "write `--set 'train.optimizer=AdamW(lr=3e-4)'`"},
      {"--batch", "--set", "write `--set data.batch=32`"},
      {"--batch-size", "--set", "write `--set data.batch=32`"},
      {"--workers", "--set", "write `--set data.workers=2`"},
      {"--seed", "--set", "write `--set train.seed=1`"},
      {"--gpu", "--device", "write `--device cuda`"},
      {"--cuda", "--device", "write `--device cuda`"},
      {"--cpu", "--device", "write `--device cpu`"},
      {"--output-dir", "--run", "write `--run DIR`"},
      {"--save-dir", "--run", "write `--run DIR`"},
      {"--logdir", "--run", "write `--run DIR`"},
      {"--checkpoint", "--weights", "write `--weights FILE`"},
      {"--json", "--format", "write `--format json`"}};
  const std::string option = word.substr(0, word.find('='));
  for (const Known& k : kKnown)
    if (option == k.word && verb.get_option_no_throw(k.has)) return k.advice;
  if (option != "--config") return "";
  return fmt::format("a config stands by itself: `nnm {} net.yaml`", verb.get_name());
}

/// The option or verb nearest to a word that was not understood.
std::string suggestion(const CLI::App& app, const std::string& word) {
  std::vector<std::string> names;
  if (word.rfind('-', 0) == 0) {
    for (const CLI::Option* o : app.get_options())
      for (const std::string& name : o->get_lnames()) names.push_back("--" + name);
  } else {
    for (const CLI::App* s : app.get_subcommands({})) names.push_back(s->get_name());
  }
  const std::string near = nearest(word.substr(0, word.find('=')), names);
  return near.empty() ? "" : fmt::format("did you mean `{}`?", near);
}

int usage_error(const CLI::App& app, const CLI::ParseError& e) {
  const CLI::App* verb = &app;
  if (!app.get_subcommands().empty()) verb = app.get_subcommands().front();
  std::string help, message = told(e);
  if (dynamic_cast<const CLI::ExtrasError*>(&e)) {
    const std::vector<std::string> extra = extras(app);
    if (!extra.empty()) {
      const bool is_verb = verb == &app && extra[0].rfind('-', 0) != 0;
      message = fmt::format("unknown {} `{}`",
                            is_verb                       ? "verb"
                            : extra[0].rfind('-', 0) == 0 ? "option"
                                                          : "argument",
                            extra[0]);
      help = order_advice(app, *verb, extra[0].substr(0, extra[0].find('=')));
      if (help.empty() && is_verb) help = verb_advice(extra[0]);
      const std::vector<std::string> before = app.remaining(false);
      const bool early = verb != &app && !before.empty() && before[0] == extra[0];
      if (help.empty() && early && !extra[0].starts_with('-'))
        help = fmt::format("it stands behind the verb: `nnm {} {}`", verb->get_name(), extra[0]);
      if (help.empty()) help = other_option(*verb, extra[0]);
      if (help.empty()) help = suggestion(*verb, extra[0]);
    }
  }
  if (help.empty()) {
    help = fmt::format("`{} --help` lists what there is",
                       verb == &app ? "nnm" : "nnm " + verb->get_name());
  }
  say("error", message, help);
  return kUsage;
}

/// An option that was given an empty text, as by a shell variable that is not set: taken for left
/// out, it would quietly mean something else. A prompt may be empty.
const CLI::Option* empty_option(const CLI::App& verb) {
  for (const CLI::Option* o : verb.get_options())
    for (const std::string& value : o->results())
      if (value.empty() && !o->check_name("--prompt")) return o;
  return nullptr;
}

int run(int argc, char** argv, std::string& diagnostics) {
  CLI::App app("PyTorch's nn.Module, without Python", "nnm");
  app.set_version_flag("--version", std::string("nnm ") + NNM_VERSION);
  app.set_help_flag("-h,--help", "print this help");
  app.footer(
      "A first run: nnm init, nnm check, nnm train, nnm eval. `nnm VERB --help` tells what a verb\n"
      "takes; where it takes a config, a checkpoint or a run folder does as well.");
  app.allow_extras();
  // Once a verb is found, other words are its own: `nnm help train`, or a file called `list`.
  app.require_subcommand(0, 1);
  bool quiet = false, verbose = false;
  std::vector<std::pair<CLI::App*, Action>> actions;
  for (const Verb& v : verbs()) {
    CLI::App* sub = app.add_subcommand(v.name, v.doc);
    sub->set_help_flag("-h,--help", "print this help");
    sub->add_flag("-q,--quiet", quiet, "warnings and errors only");
    sub->add_flag("-v,--verbose", verbose, "more details");
    const App verb(sub);
    actions.emplace_back(sub, v.declare(verb));
    if (verb.has("--set") && !verb.has("--diagnostics")) add_diagnostics(verb, diagnostics);
  }
  try {
    app.parse(argc, argv);
    const std::vector<std::string> extra = extras(app);
    if (!extra.empty()) throw CLI::ExtrasError(extra);
  } catch (const CLI::CallForHelp&) {
    print(app.get_subcommands().empty() ? app.help() : app.get_subcommands().front()->help("nnm"));
    return 0;
  } catch (const CLI::CallForVersion&) {
    print_line(std::string("nnm ") + NNM_VERSION);
    return 0;
  } catch (const CLI::ParseError& e) {
    return usage_error(app, e);
  }
  if (quiet) set_log_level(LogLevel::quiet);
  if (verbose) set_log_level(LogLevel::verbose);
  for (const auto& [sub, action] : actions)
    if (sub->parsed()) {
      if (const CLI::Option* o = empty_option(*sub)) {
        say("error", fmt::format("{} is empty", o->get_name()), "say what it is, or leave it out");
        return kUsage;
      }
      return action();
    }
  std::fputs(app.help().c_str(), stderr);
  return kUsage;
}

void end_at_once(int signal) {
  remove_unfinished();
  ::_exit(128 + signal);
}

/// Verbs that have nothing to finish end with the exit code that is documented, and leave no file
/// half written. What the caller ignores stays ignored.
void catch_signals() {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction action {};
    if (::sigaction(signal, nullptr, &action) != 0 || action.sa_handler != SIG_DFL) continue;
    action.sa_handler = end_at_once;
    ::sigaction(signal, &action, nullptr);
  }
}

}  // namespace
}  // namespace nnm::cli

int nnm::cli_main(int argc, char** argv) {
  // Files that are opened must not take the places of streams that are closed: one would write into
  // the other. Writing to a stdout that is closed stays an error.
  for (int fd = 0; fd < 3; ++fd)
    if (::fcntl(fd, F_GETFD) < 0) ::open("/dev/null", fd == 2 ? O_WRONLY : O_RDONLY);
  // A file that may not grow is an error of writing, as a full disk is.
  std::signal(SIGXFSZ, SIG_IGN);
  // A reader who is gone ends no verb: what else it writes and its exit code are for others.
  std::signal(SIGPIPE, SIG_IGN);
  cli::catch_signals();
  std::string diagnostics = "text";
  const int code = cli::guarded(diagnostics, [&] { return cli::run(argc, argv, diagnostics); });
  // What a full disk kept from being written is only known now.
  const int flushed = cli::guarded(diagnostics, [] {
    cli::flush_output();
    return 0;
  });
  return code ? code : flushed;
}
