// nnm version.
#include <memory>

#include "cli/verb.h"
#include "nnm/base/json.h"

namespace nnm::cli {

Action version(App app) {
  auto format = std::make_shared<std::string>();
  add_format(app, *format);
  return [format] {
    if (*format == "json") print_line(Json().object().entry("version", NNM_VERSION).end().text());
    else print_line(std::string("nnm ") + NNM_VERSION);
    return 0;
  };
}

}  // namespace nnm::cli
