// A job's status as JSON and back: RUN/status.json, /status and `athanor status --json` are this one document. Keys are
// kept from version to version; units are in their names; what is not known is null.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "launcher/supervisor/job_status.h"

namespace athanor {

nlohmann::ordered_json to_json(const JobStatus& status);
/// Keys that are absent keep their defaults, so that other versions' files are read. Throws DataError where a value is
/// of another kind than it should be.
JobStatus job_status_from(const nlohmann::ordered_json& json);

}  // namespace athanor
