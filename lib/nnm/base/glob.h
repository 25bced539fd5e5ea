// Matching of pattern segments against name segments, shared by Selector and Scope.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace nnm {

/// `*` in the pattern stands for any run of characters.
bool glob_segment(std::string_view pattern, std::string_view text);

/// Whether pattern[from…] matches all of segments[begin…]; the segment `**` stands for any number.
bool glob_path(const std::vector<std::string>& pattern, size_t from,
               const std::vector<std::string_view>& segments, size_t begin);

/// Whether the pattern starts with the type of a module on the way (types[d] is the type at depth
/// d) and its rest matches what lies below that module. Of a type with dots the last parts are
/// enough: `Block` is a `rn.Block`.
bool glob_type(const std::vector<std::string>& pattern,
               const std::vector<std::string_view>& segments,
               const std::vector<const std::string*>& types);

}  // namespace nnm
