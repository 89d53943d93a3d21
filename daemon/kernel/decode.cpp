// SPDX-License-Identifier: GPL-2.0-only
#include "kernel/decode.h"

#include <array>
#include <cerrno>
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
    for (int attribute :
         {FUSEWB_A_CONN_DEV, FUSEWB_A_CONN_STATE, FUSEWB_A_CONN_WRITEBACK, FUSEWB_A_CONN_SERVER_PID,
          FUSEWB_A_CONN_SERVER_UID, FUSEWB_A_CONN_PROTO_MINOR, FUSEWB_A_CONN_MAX_WRITE,
          FUSEWB_A_CONN_MAX_READ})
        policy[attribute] = ofType(NLA_U32);
    policy[FUSEWB_A_CONN_SUBTYPE] = ofType(NLA_STRING);
    policy[FUSEWB_A_CONN_COUNTERS] = ofType(NLA_NESTED);
    return policy;
}();

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
    case FUSEWB_CMD_CONN_REMOVED:
        break;
    default:
        return malformed("not about a connection");
    }
    if (!parse(message, found, connectionPolicy))
        return malformed("connection attributes");
    if (!found[FUSEWB_A_CONN_ID] || !found[FUSEWB_A_CONN_DEV] || !found[FUSEWB_A_CONN_STATE])
        return malformed("connection without number, device or state");

    const auto number = [&found](int attribute) {
        return found[attribute] ? nla_get_u32(found[attribute]) : 0U;
    };
    model::KernelFacts facts;
    facts.id = nla_get_u64(found[FUSEWB_A_CONN_ID]);
    facts.device = device(number(FUSEWB_A_CONN_DEV));
    facts.state = state(number(FUSEWB_A_CONN_STATE));
    facts.writeback = writeback(number(FUSEWB_A_CONN_WRITEBACK));
    facts.serverPid = static_cast<pid_t>(number(FUSEWB_A_CONN_SERVER_PID));
    facts.serverUid = number(FUSEWB_A_CONN_SERVER_UID);
    facts.protocolMinor = number(FUSEWB_A_CONN_PROTO_MINOR);
    facts.maxWrite = number(FUSEWB_A_CONN_MAX_WRITE);
    facts.maxRead = number(FUSEWB_A_CONN_MAX_READ);
    if (found[FUSEWB_A_CONN_SUBTYPE])
        facts.subtype = text(found[FUSEWB_A_CONN_SUBTYPE]);

    if (found[FUSEWB_A_CONN_COUNTERS]) {
        Attributes<FUSEWB_A_COUNTER_MAX + 1> counted{};
        if (nla_parse_nested(counted.data(), FUSEWB_A_COUNTER_MAX, found[FUSEWB_A_CONN_COUNTERS],
                             const_cast<nla_policy *>(counterPolicy.data())) != 0)
            return malformed("counters");
        const auto count = [&counted](int counter) {
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
    }
    return facts;
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
