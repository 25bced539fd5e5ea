// Tests: the expressions of a config's `tests:` section, run against its model.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "nnm/run/session.h"

namespace nnm::run {

struct TestOutcome {
  enum class Status : uint8_t {
    passed,
    failed,  ///< the expression is false
    error,   ///< it has no value: what it computes threw
    skipped  ///< not run
  };
  std::string text;  ///< as written
  Span place;
  Status status = Status::skipped;
  std::string left, right;  ///< the sides of the comparison that is false; "" where there is none
  std::string message;      ///< what else is known of a failure; of an error, its diagnostic
  double seconds = 0;
};

struct TestReport {
  std::string config;  ///< its path
  std::vector<TestOutcome> tests;
  double seconds() const;
  int64_t count(TestOutcome::Status status) const;
  /// Whether none failed or had an error.
  bool good() const {
    return !count(TestOutcome::Status::failed) && !count(TestOutcome::Status::error);
  }
};

struct TestOptions {
  std::string select;                                 ///< only tests whose text contains this
  bool dry_run = false;                               ///< none is run
  std::function<void(const TestOutcome&)> done = {};  ///< gets each test as it ends
};

/// Adds what is wrong with a config's tests before any runs (E03xx: names, functions, arguments).
void check_tests(const lang::Config& config, Diagnostics& d);

/// How the session of a run of tests is made: data may be missing until a test wants them, and
/// hooks stay out, so that a test says something of the model.
SessionOptions test_session(Device device);

/// Runs the tests, in order. `model` is the session's, in eval mode and without gradients; every
/// test begins with its buffers and with random numbers of train.seed, so that none depends on
/// another. Beside the language's functions there are
///   params(module, trainable=false)   how many elements its parameters have, shared ones once
///   shape(x)                          of a tensor, as a list; of a tuple, a list of those
///   finite(x)                         whether x (tensors, or the state of a module) is free of
///                                     NaN and infinities
///   close(a, b), allclose(a, b)       |a - b| <= atol + rtol |b| everywhere, of numbers, tensors
///                                     of one shape, and tuples and named outputs of them
///   overfits(1 batch, below=0.01, within=100 steps)
///                                     whether a copy of the model, trained on the first batches of
///                                     data.train with the config's loss, optimizer, groups and
///                                     clip at constant rates, gets their mean loss below that.
/// Throws DiagnosticError for wrong expressions, Error(config) where no test is left to run.
TestReport run_tests(Session& session, const TestOptions& options = {});

/// What is printed for one test, and after the last.
std::string to_text(const TestOutcome& test, bool colour);
std::string summary_line(const TestReport& report);
/// {"config", "passed", "failed", "errors", "seconds", "tests": [{"name", "file", "line", "column",
/// "status", "seconds", "left", "right", "message"}]}.
std::string to_json(const TestReport& report);
/// The XML that CI servers read: one testsuite, named by the config.
std::string to_junit(const TestReport& report);

}  // namespace nnm::run
