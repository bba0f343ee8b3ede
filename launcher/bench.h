// `athanor bench`: the group of synthetic measurements. Each is a subcommand in a file of its own.
#pragma once

#include <CLI/CLI.hpp>

namespace athanor {

/// The `bench` command, made when first asked for; measurements add their subcommands to it.
CLI::App& bench_command(CLI::App& program);

}  // namespace athanor
