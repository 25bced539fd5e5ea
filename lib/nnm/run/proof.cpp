// Two halves against a whole.
#include "nnm/run/proof.h"

#include <unistd.h>

#include <cstring>

#include "nnm/io/tree.h"
#include "nnm/ops/ops.h"

namespace nnm::run {

namespace {

bool same_bits(const Tensor& a, const Tensor& b) {
  if (a.defined() != b.defined()) return false;
  if (!a.defined()) return true;
  if (a.dtype() != b.dtype() || a.shape() != b.shape()) return false;
  const size_t bytes = static_cast<size_t>(a.numel()) * item_size(a.dtype());
  return !bytes || std::memcmp(contiguous(a).data(), contiguous(b).data(), bytes) == 0;
}

bool same(const Value& a, const Value& b);

bool same(const Items& a, const Items& b) {
  if (a.size() != b.size()) return false;
  for (const auto& [name, value] : a) {
    const Value* other = io::find_item(b, name);
    if (!other || !same(value, *other)) return false;
  }
  return true;
}

bool same(const Value& a, const Value& b) {
  if (a.is(Value::Kind::tensor) && b.is(Value::Kind::tensor))
    return same_bits(a.as<Tensor>(), b.as<Tensor>());
  if (a.is(Value::Kind::dict) && b.is(Value::Kind::dict)) return same(a.entries(), b.entries());
  if (a.is(Value::Kind::real) && b.is(Value::Kind::real)) {
    const double x = a.real(), y = b.real();
    return std::memcmp(&x, &y, sizeof(x)) == 0;
  }
  return a == b;
}

std::string first_difference(const char* what, const Items& a, const Items& b) {
  for (const auto& [name, value] : a) {
    const Value* other = io::find_item(b, name);
    if (!other || !same(value, *other)) return fmt::format("{} {}", what, name);
  }
  return a.size() == b.size() ? "" : what;
}

std::string optimizer_difference(const io::OptimizerState& a, const io::OptimizerState& b) {
  if (a.type != b.type || a.param_groups.size() != b.param_groups.size()) return "optimizer";
  for (size_t i = 0; i < a.param_groups.size(); ++i)
    if (!same(a.param_groups[i].options, b.param_groups[i].options))
      return fmt::format("optimizer group {}", i);
  Items x, y;
  for (const auto& [name, state] : a.state) x.emplace_back(name, Value::dict(state));
  for (const auto& [name, state] : b.state) y.emplace_back(name, Value::dict(state));
  return first_difference("optimizer state of", x, y);
}

bool same_column(const io::Column& a, const io::Column& b) {
  if (a.name != b.name || a.values.index() != b.values.index()) return false;
  if (const auto* x = std::get_if<std::vector<double>>(&a.values)) {
    const auto& y = std::get<std::vector<double>>(b.values);
    return x->size() == y.size() &&
           (x->empty() || std::memcmp(x->data(), y.data(), x->size() * sizeof(double)) == 0);
  }
  return a.values == b.values;
}

Items without_seconds(Items items) {
  std::erase_if(items, [](const auto& e) {
    return e.first == "seconds" || e.first == "wait_seconds" || e.first == "score";
  });
  return items;
}

// Captures write no file in a proof, and so do not fire.
Items without_fired(const Items& hooks) {
  Items out;
  for (const auto& [number, hook] : hooks) {
    Items told = hook.entries();
    std::erase_if(told, [](const auto& e) { return e.first == "fired"; });
    out.emplace_back(number, Value::dict(std::move(told)));
  }
  return out;
}

}  // namespace

std::string find_difference(const io::Checkpoint& a, const io::Checkpoint& b) {
  if (a.global_step != b.global_step)
    return fmt::format("the step: {} and {}", a.global_step, b.global_step);
  Items x, y;
  for (const io::StateEntry& e : a.state_dict) x.emplace_back(e.name, e.tensor);
  for (const io::StateEntry& e : b.state_dict) y.emplace_back(e.name, e.tensor);
  for (const io::NamedTensor& e : a.ema) x.emplace_back("ema of " + e.name, e.tensor);
  for (const io::NamedTensor& e : b.ema) y.emplace_back("ema of " + e.name, e.tensor);
  std::string found = first_difference("weights:", x, y);
  if (found.empty() && a.optimizer.has_value() != b.optimizer.has_value()) found = "optimizer";
  if (found.empty() && a.optimizer) found = optimizer_difference(*a.optimizer, *b.optimizer);
  if (found.empty()) found = first_difference("scheduler:", a.scheduler, b.scheduler);
  if (found.empty()) found = first_difference("random numbers:", a.rng, b.rng);
  if (found.empty())
    found = first_difference("data:", without_seconds(a.data), without_seconds(b.data));
  if (found.empty())
    found = first_difference("best:", without_seconds(a.best), without_seconds(b.best));
  if (found.empty())
    found = first_difference("what rules remember of hook", without_fired(a.rules),
                             without_fired(b.rules));
  for (size_t i = 0; found.empty() && i < std::max(a.metrics.size(), b.metrics.size()); ++i)
    if (i >= a.metrics.size() || i >= b.metrics.size() || !same_column(a.metrics[i], b.metrics[i]))
      found = "metrics";
  return found;
}

namespace {

// Trains from a checkpoint (or the beginning) until a step, without files, and gives the state.
io::Checkpoint part(const Source& source, const RigOptions& options, const Proof& proof,
                    const std::string& from, int64_t until) {
  Rig rig(source, options);
  rig.open();
  if (!from.empty()) rig.trainer().resume(io::load_checkpoint(from), from);
  else rig.session().load_weights(proof.weights, proof.partial);
  TrainOptions::Attached attached;
  if (proof.attach) attached = proof.attach(rig.session(), "");
  for (const auto& w : attached.watchers) rig.parts().watchers.push_back(w.get());
  train::Control control;
  control.stop_after = until;
  rig.parts().control = &control;
  rig.trainer().run();
  return rig.trainer().snapshot();
}

}  // namespace

std::string find_resume_difference(const Source& source, const RigOptions& options,
                                   const Proof& proof) {
  const io::Checkpoint whole = io::load_checkpoint(proof.end);
  io::LoadOptions light;
  light.state_dict = light.training = false;
  const int64_t begin =
      proof.begin.empty() ? 0 : io::load_checkpoint(proof.begin, light).global_step;
  const int64_t middle = begin + (whole.global_step - begin) / 2;
  const std::string file = fmt::format("{}/.proof.{}.h5", proof.folder, ::getpid());
  try {
    io::save_checkpoint(part(source, options, proof, proof.begin, middle), file);
    // Written and read like the whole, so that both went through a file.
    io::save_checkpoint(part(source, options, proof, file, whole.global_step), file);
    std::string found = find_difference(whole, io::load_checkpoint(file));
    ::unlink(file.c_str());
    return found;
  } catch (...) {
    ::unlink(file.c_str());
    throw;
  }
}

}  // namespace nnm::run
