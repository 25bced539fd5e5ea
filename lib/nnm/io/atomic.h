// Files that are whole or absent: written beside their place, synced, renamed.
#pragma once

#include <functional>
#include <string>

namespace nnm::io {

/// Calls `write` with the name of a file beside `path` that does not exist, which it creates; then
/// syncs that file, renames it to `path` and syncs the folder. If anything throws, the new file is
/// removed and `path` is as it was. Throws Error(output).
void write_atomically(const std::string& path,
                      const std::function<void(const std::string&)>& write);

/// Syncs a file's data, or a folder's entries, to the disk. Throws Error(output).
void sync_file(const std::string& path);
/// The folder a path stands in, "." for a bare name.
std::string folder_of(const std::string& path);
/// What unfinished files end with.
inline constexpr const char* kPart = ".part";

}  // namespace nnm::io
