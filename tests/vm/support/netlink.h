// SPDX-License-Identifier: GPL-2.0-only
// The generic netlink family of the module, read without a library: the tests see the bytes, and
// can send what a library would not.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <linux/fusewb.h>

#include "support/files.h"

namespace fusewb::test {

// Attributes of one message or nest, by type.
using Attributes = std::map<unsigned, std::string>;
Attributes parse_attributes(std::string_view bytes);
std::string make_attribute(unsigned type, std::string_view value);
std::string make_u64_attribute(unsigned type, std::uint64_t value);

struct Info {
    std::string version;
    std::uint32_t protocol_major = 0;
    std::uint32_t protocol_minor = 0;
    std::uint32_t connections = 0;
};

// Values of a policy by FUSEWB_A_POLICY_*.
using PolicyValues = std::map<unsigned, std::uint32_t>;
// The nest with these values, as an attribute of the type.
std::string make_policy(unsigned type, const PolicyValues &values);
PolicyValues parse_policy(std::string_view nest);

// A request without an answer.
struct StuckRequest {
    std::uint64_t connection = 0;
    std::uint64_t unique = 0;
    std::uint32_t opcode = 0;
    std::uint32_t request_class = 0;
    std::uint64_t node = 0;
    std::uint32_t state = 0;
    std::uint64_t age_usec = 0;
    std::uint32_t pid = 0;
    std::optional<std::uint32_t> uid;
    std::uint32_t deadline_ms = 0;
    std::uint32_t bytes = 0;
    std::optional<std::uint32_t> action;
};
StuckRequest parse_request(std::string_view attributes);

struct Connection {
    unsigned command = 0; // FUSEWB_CMD_*: what the message was
    std::uint64_t id = 0;
    std::uint32_t dev = 0;
    std::uint32_t state = 0;
    std::uint32_t writeback = 0;
    std::uint32_t server_pid = 0;
    std::uint32_t server_uid = 0;
    std::optional<std::string> subtype;
    std::uint32_t protocol_minor = 0;
    std::uint32_t max_write = 0;
    std::uint32_t max_read = 0;
    std::array<std::uint64_t, FUSEWB_A_COUNTER_MAX + 1> counters{};
    PolicyValues policy;
    std::map<unsigned, std::vector<std::uint64_t>> latency; // by FUSEWB_A_LATENCY_*
    std::uint32_t abort_reason = 0;

    std::uint64_t operator[](fusewb_attr_counter counter) const { return counters[counter]; }
};

class Netlink {
public:
    // Throws if the family is not registered.
    Netlink();

    struct Message {
        unsigned command;
        std::string attributes;
    };
    struct Reply {
        int error = 0;    // errno, 0 for success
        std::string text; // of the extended acknowledgement
        std::vector<Message> messages;
    };
    // Sends one request of the family and reads until its acknowledgement.
    Reply request(unsigned command, unsigned flags, std::string_view attributes);

    Info info();
    std::vector<Connection> dump();
    // Return: the connection, or nothing if the kernel answered ENOENT.
    std::optional<Connection> get(std::uint64_t id);
    // The connection that is mounted there; throws if there is none.
    Connection mounted_at(const std::filesystem::path &mount_point);

    // Both throw unless the kernel says yes.
    void set_policy(std::uint64_t id, const PolicyValues &values);
    void abort(std::uint64_t id);
    // Both defaults, by FUSEWB_A_DEFAULT_*.
    std::map<unsigned, PolicyValues> defaults();
    std::vector<StuckRequest> requests(std::optional<std::uint64_t> id = {},
                                       std::optional<std::uint64_t> min_age_usec = {});

    // @room: bytes of the socket's buffer, 0 for the usual
    void subscribe(int room = 0);
    // The next event about a connection, or nothing when the time is over; others are passed by.
    std::optional<Connection> event(std::chrono::milliseconds time);
    // The next event of any kind.
    std::optional<Message> message(std::chrono::milliseconds time);
    // The next FUSEWB_CMD_DEADLINE_EXPIRED of the connection.
    std::optional<StuckRequest> expired(std::uint64_t id, std::chrono::milliseconds time);

private:
    Reply exchange(std::uint16_t type, std::uint16_t flags, std::uint8_t command,
                   std::uint8_t version, std::string_view attributes);

    Fd socket_;
    Fd events_;
    std::uint16_t family_ = 0;
    std::uint32_t group_ = 0;
    std::uint32_t sequence_ = 0;
};

// The dev of a connection as the family encodes it.
std::uint32_t encoded_dev(dev_t dev);

} // namespace fusewb::test
