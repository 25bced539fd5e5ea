// From a source to a model with weights.
#include "nnm/run/session.h"

#include <algorithm>
#include <set>
#include <unordered_map>

#include "nnm/base/log.h"
#include "nnm/io/checkpoint.h"
#include "nnm/tensor/generator.h"

namespace nnm::run {

Session::Session(Source source, const SessionOptions& options)
    : source_(std::move(source)),
      checked_(check(source_.config, options.check)),
      tf32_(std::make_unique<Tf32Guard>(checked_.plan.tf32)) {
  if (checked_.diagnostics.has_errors()) throw DiagnosticError(checked_.diagnostics, checked_.kind);
  if (options.check.training) {
    for (const Diagnostic& d : checked_.diagnostics.all())
      if (d.code != kNoData) log_warning("{}{}", d.message, d.help.empty() ? "" : ": " + d.help);
  }
  if (options.data && checked_.data_error) std::rethrow_exception(checked_.data_error);
  manual_seed(plan().seed);
  model_ = lang::build_model(config(), {options.device, plan().dtype, plan().seed});
  hooks_ = std::make_unique<tracing::Hooks>(*model_.module, checked_.hooks);
  show_fields(checked_.objective);
  const auto& list = hooks_->list();
  const auto own = std::count_if(list.begin(), list.end(), [](const tracing::Hook& h) {
    return tracing::spec_of(h).at.file != nullptr;
  });
  if (own > 0) log_note("hooks: {} of the config are active", own);
}

void Session::show_fields(train::Objective& objective) {
  if (hooks_->fields().empty()) return;
  objective.show_fields(hooks_->fields(),
                        [this](const Values& values) { hooks_->see_fields(values); });
}

size_t Session::warn_silent_hooks(bool backward) const {
  const std::vector<std::string> silent = hooks_->silent(backward);
  for (const std::string& hook : silent) log_warning("hook {} never fired", hook);
  return silent.size();
}

data::Data& Session::data() {
  if (!checked_.data)
    throw Error(ErrorKind::config, fmt::format("{} has no data", config().path()),
                "name files under `data:`");
  return *checked_.data;
}

namespace {

using Named = std::vector<io::NamedTensor>;

Named read_weights(const std::string& path, bool ema) {
  if (!ema) return io::load_weights(path);
  io::Checkpoint c = io::load_checkpoint(path);
  NNM_CHECK(!c.ema.empty(), input_file, "{} holds no averages: train.ema was not set", path);
  std::unordered_map<std::string, Tensor> averages;
  for (io::NamedTensor& t : c.ema) averages.emplace(t.name, t.tensor);
  Named out;
  for (io::StateEntry& e : c.state_dict) {
    // A tied parameter is averaged under its first name.
    const auto at = averages.find(e.alias_of.empty() ? e.name : e.alias_of);
    out.push_back({e.name, at == averages.end() ? e.tensor : at->second});
  }
  return out;
}

// What to do where the names are the model's but for a first part that all of them have.
std::string prefix_advice(const Named& weights, const StateDict& model) {
  if (weights.empty()) return "";
  const std::string prefix = weights[0].name.substr(0, weights[0].name.find('.') + 1);
  const auto fits = [&](const io::NamedTensor& w) {
    return w.name.starts_with(prefix) && model.find(w.name.substr(prefix.size()));
  };
  if (prefix.empty() || !std::all_of(weights.begin(), weights.end(), fits)) return "";
  return fmt::format(
      "every name in the file starts with `{0}`, as those of a module around the model do: save "
      "the model's own, `model.{1}.state_dict()`",
      prefix, prefix.substr(0, prefix.size() - 1));
}

// Says once what is converted, and with `partial` leaves out what does not fit.
Items fitting(const Named& weights, const StateDict& model, const std::string& path, bool partial,
              std::set<std::string>& left) {
  Items out;
  bool said = false;
  for (const io::NamedTensor& w : weights) {
    const Value* own = model.find(w.name);
    const Tensor t = own && own->is(Value::Kind::tensor) ? own->as<Tensor>() : Tensor();
    if (partial && t.defined() && t.shape() != w.tensor.shape()) {
      log_note("{}: {} is {} here, {} in the model: left as it is", path, w.name,
               w.tensor.shape().str(), t.shape().str());
      left.insert(w.name);
      continue;
    }
    if (!said && t.defined()) {
      const std::string wanted = Value(t.dtype()).config_text();
      const std::string stored =
          w.stored.empty() ? Value(w.tensor.dtype()).config_text() : w.stored;
      said = stored != wanted;
      if (said) log_note("{}: converted from {} to {}", path, stored, wanted);
    }
    out.emplace_back(w.name, w.tensor);
  }
  return out;
}

}  // namespace

void Session::load_weights(const std::string& path, bool partial, bool ema) {
  if (path.empty()) return;
  const Named weights = read_weights(path, ema);
  std::set<std::string> left;  // what the file has, and the model in another size
  const StateDict dict(fitting(weights, model()->state_dict(), path, partial, left));
  try {
    IncompatibleKeys keys = model()->load_state_dict(dict, !partial);
    std::erase_if(keys.missing_keys, [&](const std::string& k) { return left.contains(k); });
    if (partial && !keys.missing_keys.empty())
      log_note("{}: not in the file: {}", path, fmt::join(keys.missing_keys, ", "));
    if (partial && !keys.unexpected_keys.empty())
      log_note("{}: not in the model: {}", path, fmt::join(keys.unexpected_keys, ", "));
  } catch (const Error& e) {
    const std::string advice = prefix_advice(weights, model()->state_dict());
    throw Error(ErrorKind::input_file, fmt::format("{}: {}", path, e.what()),
                advice.empty() ? "--partial loads what fits" : advice);
  }
}

}  // namespace nnm::run
