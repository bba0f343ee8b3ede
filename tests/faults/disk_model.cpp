#include "faults/disk_model.h"

#include <algorithm>

namespace athanor::faults {

void DiskModel::add(const std::string& name, std::string bytes) {
  names_[name] = files_;
  operations_.push_back({Operation::link, files_, 0, name, {}, true});
  operations_.push_back({Operation::write, files_, 0, std::move(bytes), {}, true});
  ++files_;
}

void DiskModel::change_name(Operation operation) {
  if (operation.kind == Operation::rename) names_.erase(operation.old_name);
  if (operation.kind == Operation::unlink)
    names_.erase(operation.bytes);
  else
    names_[operation.bytes] = operation.file;
  operations_.push_back(std::move(operation));
}

void DiskModel::apply(const Event& event) {
  switch (event.kind) {
    case EventKind::open:
      if (!names_.contains(event.bytes)) change_name({Operation::link, files_++, 0, event.bytes});
      open_[event.file] = names_.at(event.bytes);
      break;
    case EventKind::write:
      operations_.push_back({Operation::write, open_.at(event.file), event.offset, event.bytes});
      break;
    case EventKind::truncate:
      operations_.push_back({Operation::truncate, open_.at(event.file), event.offset});
      break;
    case EventKind::sync_file:
      for (Operation& operation : operations_) {
        const bool is_content = operation.kind == Operation::write || operation.kind == Operation::truncate;
        if (is_content && operation.file == open_.at(event.file)) operation.safe = true;
      }
      break;
    case EventKind::sync_folder:
      for (Operation& operation : operations_) {
        if (operation.kind != Operation::write && operation.kind != Operation::truncate) operation.safe = true;
      }
      break;
    case EventKind::rename: {
      const std::size_t end = event.bytes.find('\0');
      const std::string old_name = event.bytes.substr(0, end);
      change_name({Operation::rename, names_.at(old_name), 0, event.bytes.substr(end + 1), old_name});
      break;
    }
    case EventKind::unlink:
      change_name({Operation::unlink, names_.at(event.bytes), 0, event.bytes});
      break;
    case EventKind::hint:
    case EventKind::mark:
      break;
  }
}

std::size_t DiskModel::unsafe_count() const {
  return static_cast<std::size_t>(
      std::count_if(operations_.begin(), operations_.end(), [](const Operation& each) { return !each.safe; }));
}

std::vector<bool> DiskModel::lost_by(const Loss& loss) const {
  std::vector<bool> lost;
  std::size_t unsafe = 0;
  for (const Operation& operation : operations_) lost.push_back(!operation.safe && !loss.survives.at(unsafe++));
  return lost;
}

std::map<std::string, std::size_t> DiskModel::names_after(const std::vector<bool>& lost) const {
  std::map<std::string, std::size_t> names;
  for (std::size_t i = 0; i < operations_.size(); ++i) {
    const Operation& operation = operations_[i];
    if (lost[i] || operation.kind == Operation::write || operation.kind == Operation::truncate) continue;
    if (operation.kind == Operation::rename) names.erase(operation.old_name);
    if (operation.kind == Operation::unlink)
      names.erase(operation.bytes);
    else
      names[operation.bytes] = operation.file;
  }
  return names;
}

std::map<std::string, std::string> DiskModel::after(const Loss& loss) const {
  const std::vector<bool> lost = lost_by(loss);
  std::map<std::string, std::string> result;
  for (const auto& [name, file] : names_after(lost)) {
    std::string& content = result[name];
    for (std::size_t i = 0; i < operations_.size(); ++i) {
      const Operation& operation = operations_[i];
      if (operation.file != file) continue;
      const std::size_t end = operation.offset + operation.bytes.size();
      if (operation.kind == Operation::write && (!lost[i] || loss.grown) && content.size() < end) content.resize(end);
      if (operation.kind == Operation::write && !lost[i]) {
        content.replace(operation.offset, operation.bytes.size(), operation.bytes);
      }
      if (operation.kind == Operation::truncate && !lost[i]) content.resize(operation.offset);
    }
  }
  return result;
}

std::string DiskModel::signature_after(const Loss& loss) const {
  const std::vector<bool> lost = lost_by(loss);
  std::string signature;
  for (const auto& [name, file] : names_after(lost)) {
    signature += name + ':';
    for (std::size_t i = 0; i < operations_.size(); ++i) {
      const bool is_content = operations_[i].kind == Operation::write || operations_[i].kind == Operation::truncate;
      if (!is_content || operations_[i].file != file) continue;
      if (!lost[i]) signature += std::to_string(i) + ' ';
      if (lost[i] && loss.grown) signature += '-' + std::to_string(i) + ' ';
    }
  }
  return signature;
}

}  // namespace athanor::faults
