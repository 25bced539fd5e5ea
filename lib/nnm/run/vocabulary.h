// The vocabulary of a language model: checkpoints keep it, so that text can be made without the
// text that was learned.
#pragma once

#include <optional>
#include <string>

#include "nnm/data/data.h"

namespace nnm::run {

/// What checkpoints keep under /data: `tokenizer` with its `family` and `source` (bytes, u8).
/// Nothing where the training data are no text.
Items vocabulary_items(data::Data& data);
/// The tokenizer that a checkpoint keeps; none where it keeps none. Throws Error(input_file).
std::optional<data::Tokenizer> read_vocabulary(const std::string& checkpoint);

}  // namespace nnm::run
