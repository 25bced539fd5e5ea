// What those who think in Python write, and what to write instead.
#pragma once

#include <string>
#include <string_view>

namespace nnm::lang {

/// What to write in place of a line of Python that has no meaning here: `import torch`,
/// `self.fc = nn.Linear(2, 3)`, `with torch.no_grad():`, `assert x > 0`. "" for other lines.
std::string python_advice(std::string_view line);

}  // namespace nnm::lang
