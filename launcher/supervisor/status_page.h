// The page at `/`: one self-contained document that draws what /status and /curve say. Its script and style are named
// in the policy that goes with it by their hashes, so a browser runs nothing else, and the page asks nobody but its
// server.
#pragma once

#include <string>

namespace athanor {

/// The document, UTF-8.
const std::string& status_page();
/// For the Content-Security-Policy header.
const std::string& status_page_policy();

}  // namespace athanor
