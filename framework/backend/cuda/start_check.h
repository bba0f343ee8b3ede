// Before step 0: that the GPUs of a job reach each other and add up right.
#pragma once

#include "backend/cuda/device.h"
#include "comm/communicator.h"

namespace athanor::cuda {

/// Writes each rank's device to the log file, and whether its neighbour shares its host; sums numbers whose sum is
/// known and sends one round the ring of ranks. Collective. Throws PeerError where that does not end within the
/// communicator's timeout or the group fails, DeviceError where the sum is wrong.
void check_group(Device& device, DeviceGroup& group, Communicator& communicator);

}  // namespace athanor::cuda
