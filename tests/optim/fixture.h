// Reads tests/parity/optim.json and turns its attributes into those of the recipe.
#pragma once

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "config/registry.h"
#include "kernels/isa.h"

namespace athanor::test {

inline const nlohmann::json& fixture() {
  static const nlohmann::json parsed = [] {
    std::ifstream file(ATHANOR_SOURCE_DIR "/tests/parity/optim.json");
    return nlohmann::json::parse(file);
  }();
  return parsed;
}

inline Attributes attributes_of(const char* kind, const std::string& name, const nlohmann::json& values) {
  Attributes attributes;
  for (const auto& [key, value] : values.items()) {
    const Field* field = find_schema(kind, name)->find(key);
    ATHANOR_CHECK(field != nullptr, "{} {} has no {}", kind, name, key);
    switch (field->type) {
      case FieldType::boolean:
        attributes.set(key, value.get<bool>());
        break;
      case FieldType::integer:
        attributes.set(key, value.get<std::int64_t>());
        break;
      case FieldType::real:
        attributes.set(key, value.get<double>());
        break;
      case FieldType::text:
        attributes.set(key, value.get<std::string>());
        break;
      case FieldType::integers:
        attributes.set(key, value.get<std::vector<std::int64_t>>());
        break;
      case FieldType::reals:
        attributes.set(key, value.get<std::vector<double>>());
        break;
      default:
        ATHANOR_CHECK(false, "no optimizer or schedule takes such a field: {}", key);
    }
  }
  return attributes;
}

/// The instruction sets that this processor can run.
inline std::vector<kernels::Isa> runnable_isas() {
  std::vector<kernels::Isa> isas;
  for (const auto isa : {kernels::Isa::baseline, kernels::Isa::avx2, kernels::Isa::avx512}) {
    if (isa <= kernels::active_isa()) isas.push_back(isa);
  }
  return isas;
}

}  // namespace athanor::test
