// SPDX-License-Identifier: GPL-2.0-only
// What is known about a connection, free of how it came to be known and of who asks.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

namespace fusewb::model {

/// Names a connection while the module stays loaded; never used for two connections.
using ConnectionId = std::uint64_t;

/// What a connection is doing. Unknown: a value that is newer than this daemon.
enum class State { Init, Ready, Aborted, Unknown };

/// How dirty data reach the server. Unknown: a value that is newer than this daemon.
enum class Writeback { Through, Copy, Direct, Unknown };

std::string_view name(State state);
std::string_view name(Writeback writeback);

/// The connection's counters, as <linux/fusewb.h> defines them.
struct Counters {
    std::uint64_t requests = 0;
    std::uint64_t answers = 0;
    std::uint64_t waiting = 0;
    std::uint64_t writeRequests = 0;
    std::uint64_t bytesDirect = 0;
    std::uint64_t bytesCopied = 0;
    std::uint64_t bytesRead = 0;
    std::uint64_t bytesInFlight = 0;
    std::uint64_t skipped = 0;
    std::uint64_t writeErrors = 0;
    std::uint64_t deadlines = 0;
    std::uint64_t migrateAgain = 0;

    bool operator==(const Counters &) const = default;
};

/// What the kernel says about a connection in one message.
struct KernelFacts {
    ConnectionId id = 0;
    dev_t device = 0;
    State state = State::Init;
    Writeback writeback = Writeback::Through;
    pid_t serverPid = 0; // 0: not visible from here
    uid_t serverUid = 0;
    std::string subtype; // empty: none
    std::uint32_t protocolMinor = 0;
    std::uint32_t maxWrite = 0; // bytes
    std::uint32_t maxRead = 0;  // bytes
    Counters counters;

    bool operator==(const KernelFacts &) const = default;
};

/// What the kernel says about the module.
struct ModuleInfo {
    std::string version;
    std::uint32_t protocolMajor = 0;
    std::uint32_t protocolMinor = 0;

    bool operator==(const ModuleInfo &) const = default;
};

/// Who a server process is; members are empty where it cannot be told.
struct Server {
    std::string executable;
    std::string unit;

    bool operator==(const Server &) const = default;
};

/// All that is known about a connection.
struct Connection {
    KernelFacts kernel;
    Server server;
    std::vector<std::string> mountPoints;

    bool operator==(const Connection &) const = default;
};

} // namespace fusewb::model
