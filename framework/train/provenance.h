// With what a run was made: versions and hardware, for the head of its recipe.yaml and log.
#pragma once

#include <string>

#include "backend/backend.h"
#include "train/hardware.h"

namespace athanor {

/// Lines such as "Athanor 0.1.0, oneDNN 2.6.3, GCC 12.2.0"; the last one ended too.
std::string provenance_text(const Backend& backend, const Hardware& hardware);

}  // namespace athanor
