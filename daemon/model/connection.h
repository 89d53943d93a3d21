// SPDX-License-Identifier: GPL-2.0-only
// What is known about a connection, free of how it came to be known and of who asks.
#pragma once

#include "policy/decision.h"

#include <array>
#include <cstdint>
#include <optional>
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

/// Why a connection was given up.
enum class AbortReason {
    None,
    DeviceClosed,
    Requested,
    Deadline,
    UmountForced,
    Init,
    Unmounted,
    Unknown,
};

/// Classes of operations. Unknown: newer than this daemon.
enum class Class { Writeback, Metadata, Read, Lock, Unknown };

inline constexpr std::size_t classCount = 4;

/// Where a request is. Unknown: newer than this daemon.
enum class RequestState { Queued, Copying, Sent, Answering, Abandoned, Unknown };

std::string_view name(State state);
std::string_view name(Writeback writeback);
std::string_view name(AbortReason reason);
std::string_view name(Class operations);
std::string_view name(RequestState state);

/// The name of a FUSE operation, such as "WRITE"; "opcode 4242" if there is none of that number.
std::string operationName(std::uint32_t opcode);

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
    std::uint64_t malformed = 0;
    std::uint64_t retargets = 0;
    std::uint64_t retries = 0;

    bool operator==(const Counters &) const = default;
};

inline constexpr std::size_t latencyBuckets = 32;

/// How many requests took how long: element 0 counts those answered within a microsecond, element
/// n those that took less than 2^n of them, but not less than 2^(n-1); the last all others.
using Histogram = std::array<std::uint64_t, latencyBuckets>;
using Latencies = std::array<Histogram, classCount>;

/// What the kernel says about a connection in one message.
struct KernelFacts {
    ConnectionId id = 0;
    /// Tells loads of the module apart: the number of its netlink family, which the kernel deals
    /// out anew each time.
    std::uint32_t load = 0;
    dev_t device = 0;
    State state = State::Init;
    Writeback writeback = Writeback::Through;
    pid_t serverPid = 0; // 0: not visible from here
    uid_t serverUid = 0;
    gid_t serverGid = 0;
    bool privileged = false; // the opener might do everything on this machine
    std::string subtype;     // empty: none
    std::uint32_t protocolMinor = 0;
    std::uint32_t maxWrite = 0; // bytes
    std::uint32_t maxRead = 0;  // bytes
    AbortReason abortReason = AbortReason::None;
    Counters counters;
    policy::Values policy;
    Latencies latencies{};

    bool operator==(const KernelFacts &) const = default;
};

/// What the kernel says about the module.
struct ModuleInfo {
    std::string version;
    std::uint32_t protocolMajor = 0;
    std::uint32_t protocolMinor = 0;

    bool operator==(const ModuleInfo &) const = default;
};

/// The policies that new connections start with.
struct Defaults {
    policy::Values privileged; // whose opener might do everything on this machine
    policy::Values others;

    bool operator==(const Defaults &) const = default;
};

/// A request without an answer.
struct Request {
    ConnectionId connection = 0;
    std::uint64_t unique = 0;
    std::uint32_t opcode = 0;
    Class operations = Class::Unknown;
    std::uint64_t nodeId = 0;
    RequestState state = RequestState::Unknown;
    std::uint64_t ageUSec = 0;
    pid_t pid = 0;                  // of who asked; 0: the kernel, or not visible from here
    std::optional<uid_t> uid;       // absent: the kernel
    std::uint64_t deadlineUSec = 0; // 0: none
    std::uint32_t bytes = 0;

    bool operator==(const Request &) const = default;
};

/// A request that ran past its deadline, and the index of what was done among the choices of
/// policy::Setting::DeadlineAction.
struct Expiry {
    Request request;
    std::uint64_t action = 0;

    bool operator==(const Expiry &) const = default;
};

/// Who a server process is; members are empty where it cannot be told.
struct Server {
    std::string executable;
    std::string executableDoubt; // not empty: why the path says nothing about the program
    std::string unit;

    bool operator==(const Server &) const = default;
};

/// All that is known about a connection.
struct Connection {
    KernelFacts kernel;
    Server server;
    std::vector<std::string> mountPoints;
    std::string rule; // the name of the rule that is for it; empty: none
    std::array<policy::Source, policy::settingCount> sources; // of the values of kernel.policy

    bool operator==(const Connection &) const = default;
};

} // namespace fusewb::model
