// CheckSession: what a check of shapes collects while a forward runs on the meta device.
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "nnm/base/handle.h"
#include "nnm/lang/eval.h"
#include "nnm/lang/watcher.h"
#include "nnm/nn/module.h"

namespace nnm::lang {

/// The errors of one check. What failed is reported and gives poison; what depends on that says
/// nothing. Beside them, where the sizes of each tensor come from.
class CheckSession final : public ForwardWatcher {
 public:
  /// Of this thread, or null outside of checks.
  static CheckSession*& current();

  void report(const Fault& f);
  /// Counts a round of a loop, so that no forward keeps a check busy for ever. Throws Fault.
  void spend(const Span& loop);

  /// Looks at the calls of a model's modules from now on, those inside of containers, too.
  void watch(Module& model);
  /// An input of the model.
  void given(const std::string& name, const Tensor& t);
  void computed(const std::string& what, const Span& at, const Value* in, size_t n,
                const Value& out) override;

  // "128 comes from conv2 (resnet.yaml:16), 64 from the input of layer2.0": where the two sizes
  // come from that a call failed of, or nothing.

  /// Of a function or operator and its message.
  std::vector<Note> sources(const std::string& what, const Value* in, size_t n,
                            const Error& e) const;
  /// Of the module called last.
  std::vector<Note> sources_of_call() const;
  /// What to write where the module called last cannot take what it is given.
  std::string advice_of_call(const Error& e) const;

  // Some sizes only values tell: how many elements a mask picks. A check takes them as the largest
  // they can be, and another where that fits nothing.

  /// Runs what failed again with other sizes in place of such guesses; what it gives, or nothing
  /// where none fits. `what` is "" of a module, whose calls are seen anyway.
  std::optional<Value> refit(const std::string& what, const Span& at, const Value* in, size_t n,
                             const std::function<Value(const Value*)>& run);

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

  /// A round of a loop that was expanded, for as long as it lasts.
  class Expanding {
   public:
    Expanding(CheckSession& s, const std::function<Note()>& note) : frames_(s.frames_) {
      frames_.push_back(&note);
    }
    ~Expanding() { frames_.pop_back(); }
    Expanding(const Expanding&) = delete;

   private:
    std::vector<const std::function<Note()>*>& frames_;
  };

 private:
  struct Known {
    Tensor keep;                       ///< so that its address stays its own
    std::vector<std::string> origins;  ///< per dimension
    uint32_t open = 0;                 ///< bit i: the size of dimension i is a guess
  };
  /// A module being called: its path, and what it got.
  struct Entered {
    const Module* module = nullptr;
    std::string path;
    Value in;
  };
  const std::vector<std::string>* origins(const Value& v) const;
  void set(const Value& v, std::vector<std::string> origins, uint32_t open = 0);
  /// The dimensions whose sizes are guesses, a bit each; of a list those of its tensors.
  uint32_t open_dims(const Value& v) const;
  /// The operand with `size` in place of its guesses, unless they are smaller.
  Value resized(const Value& v, int64_t size);
  uint32_t open_of_result(const std::string& what, const Value* in, size_t n,
                          const Shape& shape) const;
  std::string origin_of_size(int64_t size, const Value* in, size_t n) const;
  /// A path as the forward being run calls it.
  std::string label(const std::string& path) const;
  void called(const Module& m, const std::string& path, const Value& in, const Value& out);

  int64_t rounds_ = 0;
  Entered entered_;
  std::vector<ScopedHandle> watching_;

  Span site_of(const std::string& label) const;

  std::vector<Fault::Call> stack_;                    ///< forwards being run, outermost first
  std::vector<const std::function<Note()>*> frames_;  ///< rounds of loops, outermost first
  std::set<std::tuple<std::string, int, int>> seen_;
  std::unordered_map<const TensorImpl*, Known> tensors_;
};

}  // namespace nnm::lang
