// Warnings that are not repeated.
#include "nnm/base/warn_once.h"

#include <mutex>
#include <set>

#include "nnm/base/log.h"

namespace nnm {

void warn_once(const std::string& text) {
  static std::mutex lock;
  static std::set<std::string> said;
  {
    const std::scoped_lock held(lock);
    if (!said.insert(text).second) return;
  }
  log_warning("{}", text);
}

}  // namespace nnm
