// CheckSession: what a check of shapes collects while a forward runs on the meta device.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "nnm/lang/eval.h"
#include "nnm/nn/module.h"

namespace nnm::lang {

/// The errors of one check. What failed is reported and gives poison; what depends on that says
/// nothing. Beside them, where the sizes of each tensor come from.
class CheckSession {
 public:
  /// Of this thread, or null outside of checks.
  static CheckSession*& current();

  void report(const Fault& f);
  /// Counts a round of a loop, so that no forward keeps a check busy for ever. Throws Fault.
  void spend(const Span& loop);

  /// After a module was called: `label` as the forward calls it.
  void called(const Module& m, const std::string& label, const Value& in, const Value& out);
  /// After a function or operator.
  void computed(const std::string& what, const Span& at, const Value* in, size_t n,
                const Value& out);
  /// "128 comes from conv2 (resnet.yaml:16), 64 from the input of layer2.0", or "".
  std::string sources(const Tensor& a, const Tensor& b) const;

  /// "conv1 is Conv2d(3, 8, …) (t.yaml:7)": the layer `inner` of what `label` calls.
  std::string described(Module& called, const std::string& label, const std::string& inner,
                        const std::string& below) const;

  Diagnostics diagnostics;
  Span call;                                          ///< the call about to be made
  std::function<Span(const std::string& path)> site;  ///< where a module is built

  /// A forward of a class on the stack.
  class Running {
   public:
    Running(CheckSession& s, const std::string& path);
    ~Running();
    /// Its inputs, before the first statement.
    void input(const std::string& name, bool only, const Value& v);

   private:
    struct Origin;
    CheckSession& session_;
    Span call_;
    std::vector<std::pair<const TensorImpl*, std::vector<std::string>>> before_;
  };

 private:
  struct Known {
    Tensor keep;                       ///< so that its address stays its own
    std::vector<std::string> origins;  ///< per dimension
  };
  const std::vector<std::string>* origins(const Value& v) const;
  void set(const Value& v, std::vector<std::string> origins);

  int64_t rounds_ = 0;

  Span site_of(const std::string& label) const;

  std::vector<Fault::Call> stack_;  ///< forwards being run, outermost first
  std::set<std::tuple<std::string, int, int>> seen_;
  std::unordered_map<const TensorImpl*, Known> tensors_;
};

}  // namespace nnm::lang
