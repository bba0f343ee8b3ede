// Choices that a back end made by measuring, as text: a first line that says where they hold, then a line for each,
// fields between tabs. As a file they outlive the process, and make all processes of a machine choose alike: who
// measures what another has measured meanwhile takes the other's.
#pragma once

#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace athanor {

/// $ATHANOR_CACHE, else athanor/ in $XDG_CACHE_HOME or ~/.cache; "" where there is no home.
std::string choice_cache_folder();
/// "engines NVIDIA_H100_80GB_HBM3 driver_…txt": what is chosen and where it holds, as a file's name.
std::string choice_file_name(std::string_view what, std::string_view where);

/// The fields of each line below the first; nothing where that is not `first_line`. The end of a text that breaks off
/// is left out.
std::vector<std::vector<std::string>> choice_rows(const std::string& text, std::string_view first_line);

/// By what is chosen for.
using Choices = std::map<std::string, std::string>;

/// Lines that cannot be read are left out: the worst that damage does is that something is measured again.
Choices choices_from(const std::string& text, std::string_view first_line);
std::string text_of(const Choices& choices, std::string_view first_line);

/// One that all processes of a machine share.
class ChoiceFile {
 public:
  /// `file`: "" keeps nothing.
  ChoiceFile(std::filesystem::path file, std::string first_line);

  /// What the file says, also what another process wrote since it was last asked.
  std::optional<std::string> find(const std::string& key);
  /// Adds a choice, unless another process has done so; returns what holds from now on. `unusable`: what the file says
  /// and this replaces; `note`: for who reads the file. Where it cannot be written that is said, nothing is returned,
  /// and nothing is kept from then on.
  std::optional<std::string> settle(const std::string& key, const std::string& value, std::string_view note,
                                    const std::optional<std::string>& unusable);
  /// Whether settle() is worth a try. The first no is said to the user.
  bool keeps();

 private:
  std::string settle_locked(int descriptor, const std::string& key, const std::string& value, std::string_view note,
                            const std::optional<std::string>& unusable);

  std::filesystem::path file_;
  std::string first_line_;
  bool has_failed_ = false;
};

}  // namespace athanor
