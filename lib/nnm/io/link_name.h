// Names of modules and arguments as names of links in a trace.
#pragma once

#include <string>
#include <string_view>

namespace nnm::io {

/// The name itself, but for what a link cannot be called or readers would take for something else:
/// `/` is %2F, `%` %25, an `@` at the beginning %40, the name `.` %2E, and the empty name `%`.
std::string link_name(std::string_view name);
/// The name whose link is called so.
std::string name_of_link(std::string_view link);

}  // namespace nnm::io
