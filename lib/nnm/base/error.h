// The one exception of nnm: what went wrong, where, what to do, and which exit code it means.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>

namespace nnm {

/// What kind of fault this is. The first row are Python's exception classes, for those who know
/// PyTorch's messages; the second row are the outside world's.
enum class ErrorKind : uint8_t {
  runtime,
  type,
  value,
  key,
  index,
  attribute,
  not_implemented,
  assertion,
  negative,
  config,
  input_file,
  output,
  diverged,
  device,
  internal,
  interrupted
};

/// Python's name of the kind ("TypeError"), or "Error" for the kinds it does not have.
const char* python_name(ErrorKind kind);
/// The process exit code of cli.md that a fault of this kind ends with.
int exit_code(ErrorKind kind);

class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message, std::string hint = {})
      : std::runtime_error(message), kind_(kind), hint_(std::move(hint)) {}

  ErrorKind kind() const { return kind_; }
  /// What to write or do instead; empty where nothing useful is known.
  const std::string& hint() const { return hint_; }
  /// The dotted path of the module in which it happened, innermost; "" outside of modules.
  const std::string& module_path() const { return module_path_; }
  void set_module_path(std::string path) { module_path_ = std::move(path); }
  /// The address of that module, to compare and never to follow: it may be gone. Null outside.
  const void* module() const { return module_; }
  void set_module(const void* module, std::string path) {
    module_ = module;
    module_path_ = std::move(path);
  }
  Error& with_hint(std::string hint) {
    hint_ = std::move(hint);
    return *this;
  }

 private:
  ErrorKind kind_;
  std::string hint_;
  std::string module_path_;
  const void* module_ = nullptr;
};

/// Throws Error{kind, fmt::format(format, args…)}.
template <class... A>
[[noreturn]] void fail(ErrorKind kind, fmt::format_string<A...> format, A&&... args) {
  throw Error(kind, fmt::format(format, std::forward<A>(args)...));
}

/// `fail` unless the condition holds. Arguments are formatted only on failure.
#define NNM_CHECK(condition, kind, ...)                 \
  do {                                                  \
    if (!(condition)) [[unlikely]]                      \
      ::nnm::fail(::nnm::ErrorKind::kind, __VA_ARGS__); \
  } while (false)

}  // namespace nnm
