// SPDX-License-Identifier: GPL-2.0-only
// A server with all that overlayfs wants of an upper layer, which libfuse's examples have not:
// whiteouts, the flags of rename(2), extended attributes of the kernel's own.
#pragma once

#include <string>

namespace fusewb::test {

// Serves the directory until the mount is gone. Returns the exit status of the process, which it has
// for itself.
int serve_layers(const std::string &directory, const std::string &mount_point);

} // namespace fusewb::test
