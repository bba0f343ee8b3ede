#include "train/stored_run.h"

#include <bit>
#include <nlohmann/json.hpp>

#include "train/phases.h"

namespace athanor {
namespace {

using Cbor = nlohmann::json;

std::vector<std::int64_t> extents(const Shape& shape) {
  return {shape.extents().begin(), shape.extents().end()};
}

/// In CBOR, which carries any bytes; doubles as their bits.
std::string encode(const std::string& path, const CheckpointContents& contents) {
  Cbor reals = Cbor::object(), tensors = Cbor::array();
  for (const auto& [name, value] : contents.reals) reals[name] = std::bit_cast<std::uint64_t>(value);
  for (const CheckpointTensor& tensor : contents.tensors) {
    tensors.push_back({tensor.group, tensor.name, extents(tensor.shape)});
  }
  const Cbor all{{"path", path},
                 {"recipe", contents.recipe_text},
                 {"step", contents.step},
                 {"epoch", contents.epoch},
                 {"samples", contents.samples},
                 {"numbers", contents.numbers},
                 {"reals", reals},
                 {"attributes", contents.attributes},
                 {"tensors", tensors}};
  std::string bytes;
  Cbor::to_cbor(all, bytes);
  return bytes;
}

CheckpointMeta decode_meta(const Cbor& all) {
  CheckpointMeta meta;
  meta.recipe_text = all.at("recipe");
  meta.step = all.at("step");
  meta.epoch = all.at("epoch");
  meta.samples = all.at("samples");
  meta.numbers = all.at("numbers").get<std::map<std::string, std::int64_t>>();
  meta.attributes = all.at("attributes").get<std::map<std::string, std::string>>();
  for (const auto& [name, bits] : all.at("reals").items()) {
    meta.reals[name] = std::bit_cast<double>(bits.get<std::uint64_t>());
  }
  return meta;
}

}  // namespace

std::optional<StoredRun> StoredRun::share(Communicator& communicator, const std::filesystem::path& path,
                                          std::optional<CheckpointContents> contents) {
  const std::string bytes =
      broadcast_text(communicator, contents ? encode(path.string(), *contents) : "", 0, "checkpoint");
  if (bytes.empty()) return std::nullopt;
  const Cbor all = Cbor::from_cbor(bytes);
  StoredRun run;
  run.path_ = all.at("path");
  run.meta_ = decode_meta(all);
  for (const Cbor& tensor : all.at("tensors")) {
    run.places_[{tensor.at(0), tensor.at(1)}] = static_cast<std::int64_t>(run.tensors_.size());
    run.tensors_.push_back({tensor.at(0), tensor.at(1), Shape(tensor.at(2).get<std::vector<std::int64_t>>())});
  }
  if (contents && communicator.rank() == 0) {
    for (CheckpointTensor& tensor : contents->tensors) run.values_.push_back(std::move(tensor.values));
  }
  return run;
}

std::int64_t StoredRun::find(const std::string& group, const std::string& name) const {
  const auto found = places_.find({group, name});
  return found == places_.end() ? -1 : found->second;
}

std::vector<float> StoredRun::values(Communicator& communicator, std::int64_t index) const {
  const auto at = static_cast<std::size_t>(index);
  std::vector<float> values =
      at < values_.size() ? values_[at] : std::vector<float>(static_cast<std::size_t>(tensors_[at].shape.elements()));
  communicator.broadcast(values.data(), values.size() * sizeof(float), 0, "tensors of the checkpoint");
  return values;
}

}  // namespace athanor
