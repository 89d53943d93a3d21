// SPDX-License-Identifier: GPL-2.0-only
#include "messages.h"

#include <cctype>
#include <cstdlib>
#include <cstring>
#include <linux/fusewb.h>
#include <memory>
#include <netlink/attr.h>
#include <netlink/genl/genl.h>
#include <netlink/msg.h>
#include <string>
#include <sys/sysmacros.h>

namespace fusewb::test {

Bytes Bytes::cut(std::size_t size) const {
    return Bytes({bytes_.begin(), bytes_.begin() + static_cast<std::ptrdiff_t>(size)});
}

Bytes fromHex(std::string_view digits) {
    std::vector<std::byte> bytes;
    std::string pair;
    for (const char digit : digits) {
        if (std::isspace(static_cast<unsigned char>(digit)))
            continue;
        pair.push_back(digit);
        if (pair.size() == 2) {
            bytes.push_back(static_cast<std::byte>(std::stoul(pair, nullptr, 16)));
            pair.clear();
        }
    }
    return Bytes(std::move(bytes));
}

Bytes connectionMessage(const Parts &parts) {
    const std::unique_ptr<nl_msg, decltype(&nlmsg_free)> owner(nlmsg_alloc(), nlmsg_free);
    nl_msg *message = owner.get();
    genlmsg_put(message, 0, 7, 0x21, 0, 0, static_cast<std::uint8_t>(parts.command),
                FUSEWB_GENL_VERSION);
    if (parts.id)
        nla_put_u64(message, FUSEWB_A_CONN_ID, 5);
    if (parts.device) {
        // 0:2748 is 0xabc: the minor number fills both its parts.
        if (parts.shortDevice)
            nla_put_u16(message, FUSEWB_A_CONN_DEV, 0x2d);
        else
            nla_put_u32(message, FUSEWB_A_CONN_DEV, 0xa000bc);
    }
    if (parts.state)
        nla_put_u32(message, FUSEWB_A_CONN_STATE, parts.stateValue);
    nla_put_u32(message, FUSEWB_A_CONN_WRITEBACK, parts.writebackValue);
    nla_put_u32(message, FUSEWB_A_CONN_SERVER_PID, 4242);
    nla_put_u32(message, FUSEWB_A_CONN_SERVER_UID, 1000);
    nla_put_string(message, FUSEWB_A_CONN_SUBTYPE, "sshfs");
    nla_put_u32(message, FUSEWB_A_CONN_PROTO_MINOR, 38);
    nla_put_u32(message, FUSEWB_A_CONN_MAX_WRITE, 1048576);
    nla_put_u32(message, FUSEWB_A_CONN_MAX_READ, 131072);
    if (parts.counters) {
        nlattr *nest = nla_nest_start(message, FUSEWB_A_CONN_COUNTERS);
        for (int counter = FUSEWB_A_COUNTER_REQUESTS; counter <= FUSEWB_A_COUNTER_MAX; ++counter)
            nla_put_u64(message, counter, (1ULL << 32) + static_cast<unsigned>(counter));
        nla_nest_end(message, nest);
    }
    if (parts.extraType != 0)
        nla_put(message, parts.extraType, 3, "abc");
    const nlmsghdr *header = nlmsg_hdr(message);
    const auto *begin = reinterpret_cast<const std::byte *>(header);
    return Bytes({begin, begin + header->nlmsg_len});
}

model::KernelFacts sample() {
    const auto counter = [](int number) { return (1ULL << 32) + static_cast<unsigned>(number); };
    model::KernelFacts facts;
    facts.id = 5;
    facts.load = 0x21;
    facts.device = makedev(0, 0xabc);
    facts.state = model::State::Ready;
    facts.writeback = model::Writeback::Direct;
    facts.serverPid = 4242;
    facts.serverUid = 1000;
    facts.subtype = "sshfs";
    facts.protocolMinor = 38;
    facts.maxWrite = 1048576;
    facts.maxRead = 131072;
    facts.counters.requests = counter(FUSEWB_A_COUNTER_REQUESTS);
    facts.counters.answers = counter(FUSEWB_A_COUNTER_ANSWERS);
    facts.counters.waiting = counter(FUSEWB_A_COUNTER_WAITING);
    facts.counters.writeRequests = counter(FUSEWB_A_COUNTER_WRITE_REQUESTS);
    facts.counters.bytesDirect = counter(FUSEWB_A_COUNTER_BYTES_DIRECT);
    facts.counters.bytesCopied = counter(FUSEWB_A_COUNTER_BYTES_COPIED);
    facts.counters.bytesRead = counter(FUSEWB_A_COUNTER_BYTES_READ);
    facts.counters.bytesInFlight = counter(FUSEWB_A_COUNTER_BYTES_IN_FLIGHT);
    facts.counters.skipped = counter(FUSEWB_A_COUNTER_SKIPPED);
    facts.counters.writeErrors = counter(FUSEWB_A_COUNTER_WRITE_ERRORS);
    facts.counters.deadlines = counter(FUSEWB_A_COUNTER_DEADLINES);
    facts.counters.migrateAgain = counter(FUSEWB_A_COUNTER_MIGRATE_AGAIN);
    facts.counters.malformed = counter(FUSEWB_A_COUNTER_MALFORMED);
    facts.counters.retargets = counter(FUSEWB_A_COUNTER_RETARGETS);
    facts.counters.retries = counter(FUSEWB_A_COUNTER_RETRIES);
    return facts;
}

} // namespace fusewb::test
