// Reporter: the errors of one build, each place once, with the frames of expansion it stands in.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "nnm/lang/eval.h"

namespace nnm::lang {

class Reporter {
 public:
  /// Adds the error with the notes of all frames, unless its place has one of the same kind: a loop
  /// reports what is wrong in its body once.
  void report(const Fault& f);
  /// Runs f; a Fault is reported. Whether it went well.
  template <class F>
  bool attempt(const F& f) {
    try {
      f();
      return true;
    } catch (const Fault& e) {
      report(e);
      return false;
    }
  }
  /// Runs f; what it throws that is no Fault becomes one at the place.
  template <class F>
  static auto at(const Span& span, const char* code, const F& f) {
    try {
      return f();
    } catch (const Fault&) {
      throw;
    } catch (const DiagnosticError&) {
      throw;
    } catch (const Error& e) {
      throw Fault(Diagnostic{code, e.what(), span, e.hint(), {}}, e.kind());
    }
  }
  bool failed() const { return diagnostics.has_errors(); }

  Diagnostics diagnostics;
  size_t reported = 0;  ///< attempts that failed, those not shown again included
  /// Innermost last; made text only when there is an error.
  std::vector<std::function<Note()>> frames;

 private:
  void add(Diagnostic d);

  std::set<std::tuple<std::string, std::string, int, int>> seen_;
};

/// A frame of expansion for a scope.
class FrameGuard {
 public:
  FrameGuard(Reporter& r, std::function<Note()> note) : reporter_(r) {
    reporter_.frames.push_back(std::move(note));
  }
  ~FrameGuard() { reporter_.frames.pop_back(); }
  FrameGuard(const FrameGuard&) = delete;

 private:
  Reporter& reporter_;
};

/// "while expanding `for i, (a, b) in …` (line 15) with i = 0, (a, b) = (784, 512)".
Note loop_note(const Target& target, const Expr& iterable, const Span& header, const Value& item);

}  // namespace nnm::lang
