// Which characters are letters, numbers and blanks.
#pragma once

#include <cstdint>

namespace nnm::data {

/// Unicode's general categories L and N (version 14) and its property White_Space.
bool is_letter(uint32_t code_point);
bool is_number(uint32_t code_point);
bool is_blank(uint32_t code_point);

}  // namespace nnm::data
