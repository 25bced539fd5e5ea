// The functions that only tests know, and what they work on.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "nnm/ops/function.h"
#include "nnm/run/session.h"

namespace nnm::run {

/// What a test's functions work on while it runs; they find it through current().
class TestBench {
 public:
  explicit TestBench(Session& session);
  ~TestBench();
  TestBench(const TestBench&) = delete;
  /// Of this thread.
  static TestBench& current();

  /// Trains a copy of the model on the first `batches` batches of an epoch; whether the mean loss
  /// of so many steps in a row falls below `below` within `steps`. Throws Error where the config
  /// says too little of data, loss or optimizer.
  bool overfits(int64_t batches, double below, int64_t steps);

  /// What a function that is false found: shown if the test fails.
  void note(std::string text) { notes_.push_back(std::move(text)); }
  std::vector<std::string> take_notes() { return std::exchange(notes_, {}); }

 private:
  std::vector<Tensors> first_batches(int64_t n);
  Ref<Module> copy_of_model() const;

  Session& session_;
  std::vector<std::string> notes_;
  TestBench* outer_;
};

std::span<const Function> test_functions();

}  // namespace nnm::run
