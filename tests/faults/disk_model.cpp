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

std::map<std::string, std::string> DiskModel::after_power_loss(const std::function<bool(std::size_t)>& survives,
                                                               bool grown) const {
  std::vector<std::string> contents(files_);
  std::map<std::string, std::size_t> names;
  std::size_t unsafe = 0;
  for (const Operation& operation : operations_) {
    const bool is_lost = !operation.safe && !survives(unsafe++);
    std::string& content = contents[operation.file];
    const std::size_t end = operation.offset + operation.bytes.size();
    if (operation.kind == Operation::write && (!is_lost || grown) && content.size() < end) content.resize(end, '\0');
    if (is_lost) continue;
    switch (operation.kind) {
      case Operation::write:
        content.replace(operation.offset, operation.bytes.size(), operation.bytes);
        break;
      case Operation::truncate:
        content.resize(operation.offset, '\0');
        break;
      case Operation::rename:
        names.erase(operation.old_name);
        names[operation.bytes] = operation.file;
        break;
      case Operation::link:
        names[operation.bytes] = operation.file;
        break;
      case Operation::unlink:
        names.erase(operation.bytes);
        break;
    }
  }
  std::map<std::string, std::string> result;
  for (const auto& [name, file] : names) result[name] = contents[file];
  return result;
}

}  // namespace athanor::faults
