// SPDX-License-Identifier: GPL-2.0-only
// Servers whose files have capabilities, as an extended attribute.
#pragma once

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <optional>
#include <string>

#include "support/raw_server.h"

namespace fusewb::test {

// GETXATTR finds security.capability as long as @capable, on @node only if one is given, and
// nothing else. @capable outlives the server's hooks.
inline void serve_capability(RawServer &server, const std::atomic<bool> &capable,
                             std::optional<std::uint64_t> node = {}) {
    server.on(FUSE_GETXATTR, [&server, &capable, node](const Request &request) {
        auto in = request.as<fuse_getxattr_in>();
        fuse_getxattr_out size{20, 0};
        if (!capable || (node && request.header.nodeid != *node) ||
            request.name(sizeof(in)) != "security.capability")
            server.answer_error(request, ENODATA);
        else if (in.size)
            server.answer(request, std::string(20, '\2'));
        else
            server.answer(request, bytes_of(size));
        return true;
    });
}

} // namespace fusewb::test
