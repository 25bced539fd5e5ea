// Tokenizers as items of a checkpoint.
#include "nnm/run/vocabulary.h"

#include "nnm/io/checkpoint.h"
#include "nnm/io/tree.h"

namespace nnm::run {

Items vocabulary_items(data::Data& data) {
  for (const data::SplitConfig& s : data.config().splits) {
    if (s.name != "train" || s.form != data::SplitConfig::Form::text) continue;
    const data::Tokenizer& t = data.tokenizer(s.name);
    const auto* bytes = reinterpret_cast<const uint8_t*>(t.source().data());
    const auto n = static_cast<int64_t>(t.source().size());
    const Tensor source = tensor_of<uint8_t>({bytes, t.source().size()}, {n}, {DType::u8});
    return {{"tokenizer", Value::dict({{"family", t.family()}, {"source", source}})}};
  }
  return {};
}

std::optional<data::Tokenizer> read_vocabulary(const std::string& checkpoint) {
  io::LoadOptions light;
  light.state_dict = light.training = false;
  const io::Checkpoint c = io::load_checkpoint(checkpoint, light);
  const Value* kept = io::find_item(c.data, "tokenizer");
  if (!kept) return std::nullopt;
  const Value* family = kept->is(Value::Kind::dict) ? kept->find("family") : nullptr;
  const Value* source = kept->is(Value::Kind::dict) ? kept->find("source") : nullptr;
  NNM_CHECK(family && family->is(Value::Kind::string) && source &&
                source->is(Value::Kind::tensor) && source->as<Tensor>().dtype() == DType::u8,
            input_file, "{}: its tokenizer cannot be read", checkpoint);
  const Tensor bytes = source->as<Tensor>();
  return data::Tokenizer::restored(
      family->string(), {bytes.data<char>(), static_cast<size_t>(bytes.numel())}, checkpoint);
}

}  // namespace nnm::run
