// SPDX-License-Identifier: GPL-2.0-only
#include "kernel/decode.h"

#include "kernel/encode.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <linux/fusewb.h>
#include <linux/genetlink.h>
#include <netlink/attr.h>
#include <netlink/genl/genl.h>
#include <netlink/msg.h>
#include <sys/sysmacros.h>

namespace fusewb::kernel {

namespace {

template <std::size_t N> using Policy = std::array<nla_policy, N>;
template <std::size_t N> using Attributes = std::array<nlattr *, N>;

constexpr nla_policy ofType(int type) {
    nla_policy policy{};
    policy.type = static_cast<std::uint16_t>(type);
    return policy;
}

constexpr auto infoPolicy = [] {
    Policy<FUSEWB_A_INFO_MAX + 1> policy{};
    policy[FUSEWB_A_INFO_VERSION] = ofType(NLA_STRING);
    policy[FUSEWB_A_INFO_PROTO_MAJOR] = ofType(NLA_U32);
    policy[FUSEWB_A_INFO_PROTO_MINOR] = ofType(NLA_U32);
    policy[FUSEWB_A_INFO_CONNECTIONS] = ofType(NLA_U32);
    return policy;
}();

constexpr auto connectionPolicy = [] {
    Policy<FUSEWB_A_CONN_MAX + 1> policy{};
    policy[FUSEWB_A_CONN_ID] = ofType(NLA_U64);
    for (const std::size_t attribute :
         {FUSEWB_A_CONN_DEV, FUSEWB_A_CONN_STATE, FUSEWB_A_CONN_WRITEBACK, FUSEWB_A_CONN_SERVER_PID,
          FUSEWB_A_CONN_SERVER_UID, FUSEWB_A_CONN_PROTO_MINOR, FUSEWB_A_CONN_MAX_WRITE,
          FUSEWB_A_CONN_MAX_READ, FUSEWB_A_CONN_SERVER_GID, FUSEWB_A_CONN_ABORT_REASON})
        policy[attribute] = ofType(NLA_U32);
    policy[FUSEWB_A_CONN_SUBTYPE] = ofType(NLA_STRING);
    policy[FUSEWB_A_CONN_SERVER_PRIVILEGED] = ofType(NLA_U8);
    for (const std::size_t nest :
         {FUSEWB_A_CONN_COUNTERS, FUSEWB_A_CONN_POLICY, FUSEWB_A_CONN_LATENCY})
        policy[nest] = ofType(NLA_NESTED);
    return policy;
}();

constexpr auto defaultPolicy = [] {
    Policy<FUSEWB_A_DEFAULT_MAX + 1> policy{};
    policy[FUSEWB_A_DEFAULT_PRIVILEGED] = ofType(NLA_NESTED);
    policy[FUSEWB_A_DEFAULT_OTHERS] = ofType(NLA_NESTED);
    return policy;
}();

// Not a constant: the widths come from the table that encodes.
const auto valuePolicy = [] {
    Policy<FUSEWB_A_POLICY_MAX + 1> policy{};
    for (const PolicyAttribute &attribute : policyAttributes())
        policy[static_cast<std::size_t>(attribute.type)] =
            ofType(attribute.wide ? NLA_U32 : NLA_U8);
    return policy;
}();

constexpr auto latencyPolicy = [] {
    Policy<FUSEWB_A_LATENCY_MAX + 1> policy{};
    for (std::size_t histogram = FUSEWB_A_LATENCY_WRITEBACK; histogram < policy.size(); ++histogram)
        policy[histogram].minlen = sizeof(model::Histogram);
    return policy;
}();

constexpr auto requestPolicy = [] {
    Policy<FUSEWB_A_REQUEST_MAX + 1> policy{};
    for (const std::size_t attribute : {FUSEWB_A_REQUEST_CONN_ID, FUSEWB_A_REQUEST_UNIQUE,
                                        FUSEWB_A_REQUEST_NODEID, FUSEWB_A_REQUEST_AGE_USEC})
        policy[attribute] = ofType(NLA_U64);
    for (const std::size_t attribute :
         {FUSEWB_A_REQUEST_OPCODE, FUSEWB_A_REQUEST_CLASS, FUSEWB_A_REQUEST_STATE,
          FUSEWB_A_REQUEST_PID, FUSEWB_A_REQUEST_UID, FUSEWB_A_REQUEST_DEADLINE_MS,
          FUSEWB_A_REQUEST_BYTES, FUSEWB_A_REQUEST_ACTION})
        policy[attribute] = ofType(NLA_U32);
    return policy;
}();

static_assert(model::latencyBuckets == FUSEWB_LATENCY_BUCKETS);
static_assert(model::classCount == FUSEWB_A_LATENCY_MAX);

constexpr auto counterPolicy = [] {
    Policy<FUSEWB_A_COUNTER_MAX + 1> policy{};
    for (std::size_t counter = FUSEWB_A_COUNTER_REQUESTS; counter < policy.size(); ++counter)
        policy[counter] = ofType(NLA_U64);
    return policy;
}();

constexpr auto controlPolicy = [] {
    Policy<CTRL_ATTR_FAMILY_NAME + 1> policy{};
    policy[CTRL_ATTR_FAMILY_NAME] = ofType(NLA_STRING);
    return policy;
}();

template <std::size_t N>
bool parse(const nlmsghdr *message, Attributes<N> &attributes, const Policy<N> &policy) {
    // libnl takes pointers to non-const but only reads.
    return genlmsg_parse(const_cast<nlmsghdr *>(message), 0, attributes.data(), N - 1,
                         const_cast<nla_policy *>(policy.data())) == 0;
}

template <std::size_t N>
bool parseNest(nlattr *nest, Attributes<N> &attributes, const Policy<N> &policy) {
    return nla_parse_nested(attributes.data(), N - 1, nest,
                            const_cast<nla_policy *>(policy.data())) == 0;
}

// The policy has refused a string without its terminating zero.
std::string text(nlattr *attribute) { return nla_get_string(attribute); }

model::State state(std::uint32_t value) {
    switch (value) {
    case FUSEWB_CONN_INIT:
        return model::State::Init;
    case FUSEWB_CONN_READY:
        return model::State::Ready;
    case FUSEWB_CONN_ABORTED:
        return model::State::Aborted;
    default:
        return model::State::Unknown;
    }
}

model::Writeback writeback(std::uint32_t value) {
    switch (value) {
    case FUSEWB_WRITEBACK_THROUGH:
        return model::Writeback::Through;
    case FUSEWB_WRITEBACK_COPY:
        return model::Writeback::Copy;
    case FUSEWB_WRITEBACK_DIRECT:
        return model::Writeback::Direct;
    default:
        return model::Writeback::Unknown;
    }
}

// The enumerations of the model follow those of the kernel, with Unknown at the end.
static_assert(static_cast<int>(model::AbortReason::Unmounted) == FUSEWB_ABORT_UNMOUNTED);
static_assert(static_cast<int>(model::Class::Lock) == FUSEWB_CLASS_LOCK);
static_assert(static_cast<int>(model::RequestState::Abandoned) == FUSEWB_REQUEST_ABANDONED);

template <typename Enumeration> Enumeration enumerated(std::uint32_t value) {
    return value < static_cast<std::uint32_t>(Enumeration::Unknown)
               ? static_cast<Enumeration>(value)
               : Enumeration::Unknown;
}

// False if the nest is malformed.
bool decodeValues(nlattr *nest, policy::Values &values) {
    Attributes<FUSEWB_A_POLICY_MAX + 1> found{};
    if (!parseNest(nest, found, valuePolicy))
        return false;
    for (const PolicyAttribute &attribute : policyAttributes()) {
        nlattr *one = found[static_cast<std::size_t>(attribute.type)];
        if (!one)
            continue;
        const std::uint32_t number = attribute.wide ? nla_get_u32(one) : nla_get_u8(one);
        if (number < attribute.offset)
            continue;
        const std::uint64_t value = std::uint64_t{number - attribute.offset} * attribute.unit;
        if (policy::check(policy::describe(attribute.setting), value))
            values.set(attribute.setting, value);
    }
    return true;
}

bool decodeLatencies(nlattr *nest, model::Latencies &latencies) {
    Attributes<FUSEWB_A_LATENCY_MAX + 1> found{};
    if (!parseNest(nest, found, latencyPolicy))
        return false;
    for (std::size_t i = 0; i < latencies.size(); ++i)
        if (nlattr *histogram = found[FUSEWB_A_LATENCY_WRITEBACK + i])
            std::memcpy(latencies[i].data(), nla_data(histogram), sizeof(model::Histogram));
    return true;
}

// The encoding of FUSEWB_A_CONN_DEV has twelve bits of major and twenty of minor number.
dev_t device(std::uint32_t value) {
    return makedev((value >> 8) & 0xfff, (value & 0xff) | ((value >> 12) & 0xfff00));
}

Failure malformed(const char *what) { return {std::string("malformed message: ") + what, EBADMSG}; }

} // namespace

bool wellFormed(const nlmsghdr *message, std::size_t size) {
    return size >= static_cast<std::size_t>(NLMSG_HDRLEN) && message->nlmsg_len <= size &&
           genlmsg_valid_hdr(const_cast<nlmsghdr *>(message), 0) != 0;
}

int command(const nlmsghdr *message) { return genlmsg_hdr(const_cast<nlmsghdr *>(message))->cmd; }

Result<model::ModuleInfo> decodeInfo(const nlmsghdr *message, std::size_t size) {
    Attributes<FUSEWB_A_INFO_MAX + 1> found{};
    if (!wellFormed(message, size))
        return malformed("truncated");
    if (command(message) != FUSEWB_CMD_INFO_GET)
        return malformed("not about the module");
    if (!parse(message, found, infoPolicy))
        return malformed("module attributes");
    if (!found[FUSEWB_A_INFO_VERSION] || !found[FUSEWB_A_INFO_PROTO_MAJOR] ||
        !found[FUSEWB_A_INFO_PROTO_MINOR])
        return malformed("module without version");
    return model::ModuleInfo{text(found[FUSEWB_A_INFO_VERSION]),
                             nla_get_u32(found[FUSEWB_A_INFO_PROTO_MAJOR]),
                             nla_get_u32(found[FUSEWB_A_INFO_PROTO_MINOR])};
}

Result<model::KernelFacts> decodeConnection(const nlmsghdr *message, std::size_t size) {
    Attributes<FUSEWB_A_CONN_MAX + 1> found{};
    if (!wellFormed(message, size))
        return malformed("truncated");
    switch (command(message)) {
    case FUSEWB_CMD_CONN_GET:
    case FUSEWB_CMD_CONN_ADDED:
    case FUSEWB_CMD_CONN_READY:
    case FUSEWB_CMD_CONN_CHANGED:
    case FUSEWB_CMD_CONN_ABORTED:
    case FUSEWB_CMD_CONN_REMOVED:
        break;
    default:
        return malformed("not about a connection");
    }
    if (!parse(message, found, connectionPolicy))
        return malformed("connection attributes");
    if (!found[FUSEWB_A_CONN_ID] || !found[FUSEWB_A_CONN_DEV] || !found[FUSEWB_A_CONN_STATE])
        return malformed("connection without number, device or state");

    const auto number = [&found](std::size_t attribute) {
        return found[attribute] ? nla_get_u32(found[attribute]) : 0U;
    };
    model::KernelFacts facts;
    facts.id = nla_get_u64(found[FUSEWB_A_CONN_ID]);
    facts.load = message->nlmsg_type;
    facts.device = device(number(FUSEWB_A_CONN_DEV));
    facts.state = state(number(FUSEWB_A_CONN_STATE));
    facts.writeback = writeback(number(FUSEWB_A_CONN_WRITEBACK));
    facts.serverPid = static_cast<pid_t>(number(FUSEWB_A_CONN_SERVER_PID));
    facts.serverUid = number(FUSEWB_A_CONN_SERVER_UID);
    facts.serverGid = number(FUSEWB_A_CONN_SERVER_GID);
    facts.privileged = found[FUSEWB_A_CONN_SERVER_PRIVILEGED] &&
                       nla_get_u8(found[FUSEWB_A_CONN_SERVER_PRIVILEGED]) != 0;
    facts.abortReason = enumerated<model::AbortReason>(number(FUSEWB_A_CONN_ABORT_REASON));
    facts.protocolMinor = number(FUSEWB_A_CONN_PROTO_MINOR);
    facts.maxWrite = number(FUSEWB_A_CONN_MAX_WRITE);
    facts.maxRead = number(FUSEWB_A_CONN_MAX_READ);
    if (found[FUSEWB_A_CONN_SUBTYPE])
        facts.subtype = text(found[FUSEWB_A_CONN_SUBTYPE]);

    if (found[FUSEWB_A_CONN_COUNTERS]) {
        Attributes<FUSEWB_A_COUNTER_MAX + 1> counted{};
        if (!parseNest(found[FUSEWB_A_CONN_COUNTERS], counted, counterPolicy))
            return malformed("counters");
        const auto count = [&counted](std::size_t counter) {
            return counted[counter] ? nla_get_u64(counted[counter]) : std::uint64_t{0};
        };
        model::Counters &counters = facts.counters;
        counters.requests = count(FUSEWB_A_COUNTER_REQUESTS);
        counters.answers = count(FUSEWB_A_COUNTER_ANSWERS);
        counters.waiting = count(FUSEWB_A_COUNTER_WAITING);
        counters.writeRequests = count(FUSEWB_A_COUNTER_WRITE_REQUESTS);
        counters.bytesDirect = count(FUSEWB_A_COUNTER_BYTES_DIRECT);
        counters.bytesCopied = count(FUSEWB_A_COUNTER_BYTES_COPIED);
        counters.bytesRead = count(FUSEWB_A_COUNTER_BYTES_READ);
        counters.bytesInFlight = count(FUSEWB_A_COUNTER_BYTES_IN_FLIGHT);
        counters.skipped = count(FUSEWB_A_COUNTER_SKIPPED);
        counters.writeErrors = count(FUSEWB_A_COUNTER_WRITE_ERRORS);
        counters.deadlines = count(FUSEWB_A_COUNTER_DEADLINES);
        counters.migrateAgain = count(FUSEWB_A_COUNTER_MIGRATE_AGAIN);
        counters.malformed = count(FUSEWB_A_COUNTER_MALFORMED);
        counters.retargets = count(FUSEWB_A_COUNTER_RETARGETS);
        counters.retries = count(FUSEWB_A_COUNTER_RETRIES);
    }
    if (found[FUSEWB_A_CONN_POLICY] && !decodeValues(found[FUSEWB_A_CONN_POLICY], facts.policy))
        return malformed("policy");
    if (found[FUSEWB_A_CONN_LATENCY] &&
        !decodeLatencies(found[FUSEWB_A_CONN_LATENCY], facts.latencies))
        return malformed("latencies");
    return facts;
}

Result<model::Defaults> decodeDefaults(const nlmsghdr *message, std::size_t size) {
    Attributes<FUSEWB_A_DEFAULT_MAX + 1> found{};
    if (!wellFormed(message, size))
        return malformed("truncated");
    if (command(message) != FUSEWB_CMD_POLICY_GET && command(message) != FUSEWB_CMD_POLICY_CHANGED)
        return malformed("not about the default policies");
    if (!parse(message, found, defaultPolicy))
        return malformed("default policies");
    model::Defaults defaults;
    if ((found[FUSEWB_A_DEFAULT_PRIVILEGED] &&
         !decodeValues(found[FUSEWB_A_DEFAULT_PRIVILEGED], defaults.privileged)) ||
        (found[FUSEWB_A_DEFAULT_OTHERS] &&
         !decodeValues(found[FUSEWB_A_DEFAULT_OTHERS], defaults.others)))
        return malformed("policy");
    return defaults;
}

namespace {

using RequestAttributes = Attributes<FUSEWB_A_REQUEST_MAX + 1>;

// Fills in what a parsed message says of a request.
Result<model::Request> requestFrom(const RequestAttributes &found) {
    if (!found[FUSEWB_A_REQUEST_CONN_ID] || !found[FUSEWB_A_REQUEST_UNIQUE] ||
        !found[FUSEWB_A_REQUEST_OPCODE])
        return malformed("request without connection, number or operation");
    const auto number = [&found](std::size_t attribute) {
        return found[attribute] ? nla_get_u32(found[attribute]) : 0U;
    };
    const auto wide = [&found](std::size_t attribute) {
        return found[attribute] ? nla_get_u64(found[attribute]) : std::uint64_t{0};
    };
    model::Request request;
    request.connection = wide(FUSEWB_A_REQUEST_CONN_ID);
    request.unique = wide(FUSEWB_A_REQUEST_UNIQUE);
    request.opcode = number(FUSEWB_A_REQUEST_OPCODE);
    if (found[FUSEWB_A_REQUEST_CLASS])
        request.operations = enumerated<model::Class>(number(FUSEWB_A_REQUEST_CLASS));
    request.nodeId = wide(FUSEWB_A_REQUEST_NODEID);
    if (found[FUSEWB_A_REQUEST_STATE])
        request.state = enumerated<model::RequestState>(number(FUSEWB_A_REQUEST_STATE));
    request.ageUSec = wide(FUSEWB_A_REQUEST_AGE_USEC);
    request.pid = static_cast<pid_t>(number(FUSEWB_A_REQUEST_PID));
    if (found[FUSEWB_A_REQUEST_UID])
        request.uid = number(FUSEWB_A_REQUEST_UID);
    request.deadlineUSec = std::uint64_t{number(FUSEWB_A_REQUEST_DEADLINE_MS)} * 1000;
    request.bytes = number(FUSEWB_A_REQUEST_BYTES);
    return request;
}

} // namespace

Result<model::Request> decodeRequest(const nlmsghdr *message, std::size_t size) {
    RequestAttributes found{};
    if (!wellFormed(message, size))
        return malformed("truncated");
    if (command(message) != FUSEWB_CMD_REQUEST_GET)
        return malformed("not about a request");
    if (!parse(message, found, requestPolicy))
        return malformed("request attributes");
    return requestFrom(found);
}

Result<model::Expiry> decodeExpiry(const nlmsghdr *message, std::size_t size) {
    RequestAttributes found{};
    if (!wellFormed(message, size))
        return malformed("truncated");
    if (command(message) != FUSEWB_CMD_DEADLINE_EXPIRED)
        return malformed("not about a deadline");
    if (!parse(message, found, requestPolicy))
        return malformed("request attributes");
    auto request = requestFrom(found);
    if (!request)
        return request.failure();
    if (!found[FUSEWB_A_REQUEST_ACTION])
        return malformed("expiry without action");
    return model::Expiry{std::move(*request), nla_get_u32(found[FUSEWB_A_REQUEST_ACTION])};
}

Result<std::string> decodeFamilyName(const nlmsghdr *message, std::size_t size) {
    Attributes<CTRL_ATTR_FAMILY_NAME + 1> found{};
    if (!wellFormed(message, size))
        return malformed("truncated");
    if (!parse(message, found, controlPolicy) || !found[CTRL_ATTR_FAMILY_NAME])
        return malformed("no family name");
    return text(found[CTRL_ATTR_FAMILY_NAME]);
}

} // namespace fusewb::kernel
