// Where data lies: the environment variable ATHANOR_DATA, or the folder beside the checkout.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace athanor {

/// Replaces "${ATHANOR_DATA}" in `path` by that environment variable; where it is unset or empty, by "../shared/data"
/// (relative to the current directory) if that is a folder. Throws DataError saying what to set if neither exists.
/// Other paths are returned as they are.
std::filesystem::path resolve_data_path(std::string_view path);

/// The end of a message about a data file that is not there: what to set, and what ATHANOR_DATA is where `path` comes
/// from it.
std::string where_to_look(std::string_view path);

}  // namespace athanor
