// Whether every rank reads the same data: what each one's files held when it opened them, compared.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "data/source_file.h"
#include "preflight/finding.h"

namespace athanor {

/// What one rank has, as one text to gather: a line for each file (name, bytes, hash, path), or one for a set that is
/// not read from files. Empty where it could not open its data.
std::string text_of_files(const std::vector<SourceFile>& files, const std::string& fingerprint);

/// `texts` and `hosts`: by rank. Fails, with the file and whose it is, where a rank's files differ from those that most
/// have (of as many, the lower rank's); skipped where a rank has none to compare.
Finding judge_data(std::span<const std::string> texts, std::span<const std::string> hosts);

}  // namespace athanor
