// What a mistyped command line most likely means, and the ranges of options, in words.
#pragma once

#include <CLI/CLI.hpp>

#include <span>
#include <string>

namespace athanor {

/// Throws UsageError with the nearest name where a word of `arguments` (without the program's own) stands for a command
/// and is none: `athanor trian`, `athanor bench stp`.
void want_known_commands(CLI::App& program, std::span<const std::string> arguments);

/// For a command line that CLI11 refused: "did you mean train.epochs=5?" for each flag that is a recipe's key, or the
/// nearest option of the command; empty where there is nothing to say.
std::string flag_hints(CLI::App& program, std::span<const std::string> arguments);

/// A number from `minimum` to `maximum`; the message of another one says so.
CLI::Validator number_from(double minimum, double maximum);

/// Adds `--run`: not empty, and with a '~' only where a shell has expanded it or such a folder exists.
void add_run_option(CLI::App& command, std::string& run);

}  // namespace athanor
