#include "support/fixture.h"

#include <bit>
#include <cstring>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

namespace athanor::testing {
namespace {

using Json = nlohmann::json;

static_assert(std::endian::native == std::endian::little, "fixtures are little-endian");

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw DataError("cannot read fixture: {}: is it committed?", path);
  return {std::istreambuf_iterator<char>(file), {}};
}

AttributeValue attribute_from(const Json& value) {
  if (value.is_boolean()) return value.get<bool>();
  if (value.is_number_integer()) return value.get<std::int64_t>();
  if (value.is_number_float()) return value.get<double>();
  if (value.is_string()) return value.get<std::string>();
  return value.get<std::vector<std::int64_t>>();
}

FixtureTensor tensor_from(const Json& entry, const std::string& blob) {
  FixtureTensor result{entry.at("name"), entry.at("dtype") == "int32",
                       reference::Tensor(entry.at("shape").get<reference::Extents>())};
  const auto offset = entry.at("offset").get<std::size_t>();
  for (std::size_t e = 0; e < result.tensor.values.size(); ++e) {
    std::uint32_t bits = 0;
    if (offset + 4 * (e + 1) > blob.size()) throw DataError("fixture tensor '{}' ends outside its file", result.name);
    std::memcpy(&bits, blob.data() + offset + 4 * e, sizeof(bits));
    result.tensor.values[e] = result.is_integer ? static_cast<double>(static_cast<std::int32_t>(bits))
                                                : static_cast<double>(std::bit_cast<float>(bits));
  }
  return result;
}

FixtureCase case_from(const Json& entry, const std::string& blob) {
  FixtureCase result;
  result.name = entry.at("name");
  result.op = entry.at("op");
  for (const auto& [name, value] : entry.at("attributes").items()) result.attributes.set(name, attribute_from(value));
  for (const Json& input : entry.at("inputs")) result.inputs.push_back(tensor_from(input, blob));
  for (const Json& output : entry.at("outputs")) result.outputs.push_back(tensor_from(output, blob));
  if (!entry.contains("output_gradient")) return result;
  result.output_gradient = tensor_from(entry.at("output_gradient"), blob);
  for (const Json& gradient : entry.at("input_gradients")) {
    result.input_gradients.emplace_back();
    if (!gradient.is_null()) result.input_gradients.back() = tensor_from(gradient, blob);
  }
  return result;
}

}  // namespace

std::vector<reference::Tensor> FixtureCase::input_tensors() const {
  std::vector<reference::Tensor> tensors;
  for (const FixtureTensor& input : inputs) tensors.push_back(input.tensor);
  return tensors;
}

std::vector<FixtureCase> read_fixture(const std::string& name) {
  const std::string stem = std::string(ATHANOR_SOURCE_DIR) + "/tests/parity/" + name;
  const Json index = Json::parse(read_file(stem + ".json"));
  const std::string blob = read_file(stem + ".bin");
  std::vector<FixtureCase> cases;
  for (const Json& entry : index.at("cases")) cases.push_back(case_from(entry, blob));
  return cases;
}

}  // namespace athanor::testing
