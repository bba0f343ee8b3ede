// The job step of an attempt under srun, which outlives an srun that is killed and is ended by its name.
#pragma once

#include <boost/asio/io_context.hpp>
#include <string>

namespace athanor {

/// Kills the processes of the job's step of that name and waits until Slurm has let it go, at most `most_s`. Whether it
/// is gone.
bool kill_slurm_step(boost::asio::io_context& io, const std::string& job, const std::string& step_name, double most_s);

}  // namespace athanor
