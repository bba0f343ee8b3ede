// A checkpoint on all ranks: rank 0 reads the file, the others are told. What it says decides how the run is cut and
// planned; the tensors follow one by one once there is an executable to take them.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "backend/executable.h"
#include "comm/communicator.h"
#include "io/checkpoint_file.h"

namespace athanor {

/// Of a tensor in the file; its values lie on rank 0.
struct StoredTensor {
  std::string group;
  std::string name;
  Shape shape;
};

class StoredRun {
 public:
  /// `contents`: on rank 0 what was read, where something was; on others ignored. nullopt where rank 0 has nothing.
  /// Collective.
  static std::optional<StoredRun> share(Communicator& communicator, const std::filesystem::path& path,
                                        std::optional<CheckpointContents> contents);

  const std::string& path() const { return path_; }
  const CheckpointMeta& meta() const { return meta_; }
  const std::vector<StoredTensor>& tensors() const { return tensors_; }
  /// Its place in tensors(); −1: the file lacks it.
  std::int64_t find(const std::string& group, const std::string& name) const;
  /// Values of tensor `index` on every rank. Collective.
  std::vector<float> values(Communicator& communicator, std::int64_t index) const;
  /// Rank 0 gives the values back; values() is of no use any more.
  void forget_values() { values_.clear(); }

 private:
  std::string path_;
  CheckpointMeta meta_;
  std::vector<StoredTensor> tensors_;
  std::map<std::pair<std::string, std::string>, std::int64_t> places_;
  std::vector<std::vector<float>> values_;  ///< rank 0, in the order of tensors_
};

}  // namespace athanor
