// The job step of an attempt under srun, which outlives an srun that is killed and is ended by its name.
#pragma once

#include <boost/asio/io_context.hpp>
#include <optional>
#include <string>

namespace athanor {

/// Kills the processes of the job's step of that name and waits until Slurm has let it go, at most `most_s`. None: it
/// is gone; else its id ("42.3"), "" where Slurm does not answer.
std::optional<std::string> kill_slurm_step(boost::asio::io_context& io, const std::string& job,
                                           const std::string& step_name, double most_s);

}  // namespace athanor
