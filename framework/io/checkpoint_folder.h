// The checkpoints of a run, and the rules by which they come and go: a new one is there whole or not at all, an older
// one goes only after a newer one was verified, one that is damaged is kept under another name.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "io/checkpoint_file.h"

namespace athanor {

class CheckpointFolder {
 public:
  /// RUN/checkpoints. Touches nothing.
  explicit CheckpointFolder(std::filesystem::path path) : path_(std::move(path)) {}

  const std::filesystem::path& path() const { return path_; }
  /// step-%09d.h5
  std::filesystem::path path_of(std::int64_t step) const;
  /// The step in such a name; −1 for other names.
  static std::int64_t step_of(const std::filesystem::path& file);
  /// Files by such names, newest (highest step) first; whether they verify is for the reader to find out.
  std::vector<std::filesystem::path> list() const;

  /// Before step 0, by who holds the run's lock: makes the folder, removes what dead runs left (".….tmp"), and makes
  /// sure that `bytes` fit and that a file can be written, synced, renamed and removed.
  /// Throws StorageError.
  void prepare(std::uint64_t bytes) const;

  struct Found {
    std::filesystem::path path;
    CheckpointContents contents;
    std::vector<std::string> notes;  ///< what was wrong with newer ones, and what became of them
  };
  /// The newest that verifies. Those before it that are damaged are renamed to NAME.corrupt; those that cannot be read
  /// for another reason (rights, a newer program's format) are passed over. nullopt: none; notes() then says why.
  std::optional<Found> newest_good();
  /// Of the last newest_good().
  const std::vector<std::string>& notes() const { return notes_; }

  /// Removes all but the newest `keep` (at least one), those whose step `keep_every` divides (0: none), and the best.
  /// Only for after a checkpoint of step `written` was written and so verified. Those of later steps, which a resume
  /// has passed over, neither count nor go. Throws StorageError where one cannot be removed, after the others.
  void prune(std::int64_t keep, std::int64_t keep_every, std::optional<std::int64_t> best_step,
             std::int64_t written) const;

 private:
  std::filesystem::path path_;
  std::vector<std::string> notes_;
};

}  // namespace athanor
