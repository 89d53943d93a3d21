// SPDX-License-Identifier: GPL-2.0-only
#include "support/netlink.h"

#include <cstring>
#include <stdexcept>
#include <system_error>

#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>

namespace fusewb::test {

namespace {

// Longer than any wait of the kernel for a reply, which it gives at once.
constexpr int reply_time_ms = 60000;

Fd open_socket() {
    Fd fd(static_cast<int>(
        check(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC), "netlink socket")));
    int on = 1;
    check(setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on)), "NETLINK_EXT_ACK");
    check(setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on)), "NETLINK_CAP_ACK");
    sockaddr_nl address{};
    address.nl_family = AF_NETLINK;
    check(bind(fd, reinterpret_cast<sockaddr *>(&address), sizeof(address)), "bind netlink");
    return fd;
}

std::string receive(int fd, int time_ms) {
    struct pollfd pollfd {
        fd, POLLIN, 0
    };
    if (check(poll(&pollfd, 1, time_ms), "poll netlink") == 0)
        return {};
    std::string bytes(1 << 16, '\0');
    auto n = check(recv(fd, bytes.data(), bytes.size(), 0), "receive netlink");
    bytes.resize(static_cast<std::size_t>(n));
    return bytes;
}

template <typename T> T value(const Attributes &attributes, unsigned type) {
    auto found = attributes.find(type);
    if (found == attributes.end())
        throw std::runtime_error("attribute " + std::to_string(type) + " is missing");
    if (found->second.size() != sizeof(T))
        throw std::runtime_error("attribute " + std::to_string(type) + " has a wrong size");
    T result;
    std::memcpy(&result, found->second.data(), sizeof(result));
    return result;
}

std::string text(const std::string &bytes) { return bytes.c_str(); }

Connection parse_connection(const Netlink::Message &message) {
    auto attributes = parse_attributes(message.attributes);
    Connection connection;
    connection.command = message.command;
    connection.id = value<std::uint64_t>(attributes, FUSEWB_A_CONN_ID);
    connection.dev = value<std::uint32_t>(attributes, FUSEWB_A_CONN_DEV);
    connection.state = value<std::uint32_t>(attributes, FUSEWB_A_CONN_STATE);
    connection.writeback = value<std::uint32_t>(attributes, FUSEWB_A_CONN_WRITEBACK);
    connection.server_pid = value<std::uint32_t>(attributes, FUSEWB_A_CONN_SERVER_PID);
    connection.server_uid = value<std::uint32_t>(attributes, FUSEWB_A_CONN_SERVER_UID);
    if (attributes.contains(FUSEWB_A_CONN_SUBTYPE))
        connection.subtype = text(attributes.at(FUSEWB_A_CONN_SUBTYPE));
    connection.protocol_minor = value<std::uint32_t>(attributes, FUSEWB_A_CONN_PROTO_MINOR);
    connection.max_write = value<std::uint32_t>(attributes, FUSEWB_A_CONN_MAX_WRITE);
    connection.max_read = value<std::uint32_t>(attributes, FUSEWB_A_CONN_MAX_READ);
    auto counters = parse_attributes(attributes.at(FUSEWB_A_CONN_COUNTERS));
    for (unsigned i = FUSEWB_A_COUNTER_REQUESTS; i <= FUSEWB_A_COUNTER_MAX; i++)
        connection.counters[i] = value<std::uint64_t>(counters, i);
    connection.policy = parse_policy(attributes.at(FUSEWB_A_CONN_POLICY));
    for (const auto &[type, bytes] : parse_attributes(attributes.at(FUSEWB_A_CONN_LATENCY))) {
        auto &buckets = connection.latency[type];
        buckets.resize(bytes.size() / sizeof(std::uint64_t));
        std::memcpy(buckets.data(), bytes.data(), buckets.size() * sizeof(std::uint64_t));
    }
    connection.abort_reason = value<std::uint32_t>(attributes, FUSEWB_A_CONN_ABORT_REASON);
    return connection;
}

bool is_small(unsigned policy_attribute) {
    switch (policy_attribute) {
    case FUSEWB_A_POLICY_SYNC_WAITS:
    case FUSEWB_A_POLICY_STRICT_LIMIT:
    case FUSEWB_A_POLICY_SPLICE_FOLIOS:
    case FUSEWB_A_POLICY_FORCE_WRITEBACK_CACHE:
        return true;
    default:
        return false;
    }
}

} // namespace

Attributes parse_attributes(std::string_view bytes) {
    Attributes attributes;
    while (bytes.size() >= sizeof(nlattr)) {
        nlattr header;
        std::memcpy(&header, bytes.data(), sizeof(header));
        if (header.nla_len < sizeof(header) || header.nla_len > bytes.size())
            throw std::runtime_error("malformed netlink attribute");
        attributes[header.nla_type & NLA_TYPE_MASK] =
            bytes.substr(sizeof(header), header.nla_len - sizeof(header));
        bytes.remove_prefix(std::min<std::size_t>(NLA_ALIGN(header.nla_len), bytes.size()));
    }
    return attributes;
}

std::string make_attribute(unsigned type, std::string_view value) {
    nlattr header;
    header.nla_type = static_cast<std::uint16_t>(type);
    header.nla_len = static_cast<std::uint16_t>(sizeof(header) + value.size());
    std::string bytes(reinterpret_cast<const char *>(&header), sizeof(header));
    bytes += value;
    bytes.resize(NLA_ALIGN(bytes.size()));
    return bytes;
}

std::string make_u64_attribute(unsigned type, std::uint64_t value) {
    return make_attribute(type, {reinterpret_cast<const char *>(&value), sizeof(value)});
}

std::string make_policy(unsigned type, const PolicyValues &values) {
    std::string nest;
    for (const auto &[attribute, value] : values) {
        auto small = static_cast<std::uint8_t>(value);
        nest += is_small(attribute)
                    ? make_attribute(attribute, {reinterpret_cast<const char *>(&small), 1})
                    : make_attribute(attribute,
                                     {reinterpret_cast<const char *>(&value), sizeof(value)});
    }
    return make_attribute(type | NLA_F_NESTED, nest);
}

PolicyValues parse_policy(std::string_view nest) {
    PolicyValues values;
    auto attributes = parse_attributes(nest);
    for (unsigned i = FUSEWB_A_POLICY_WRITEBACK; i <= FUSEWB_A_POLICY_MAX; i++)
        values[i] =
            is_small(i) ? value<std::uint8_t>(attributes, i) : value<std::uint32_t>(attributes, i);
    return values;
}

StuckRequest parse_request(std::string_view bytes) {
    auto attributes = parse_attributes(bytes);
    auto u32 = [&](unsigned type) { return value<std::uint32_t>(attributes, type); };
    auto u64 = [&](unsigned type) { return value<std::uint64_t>(attributes, type); };
    StuckRequest request;
    request.connection = u64(FUSEWB_A_REQUEST_CONN_ID);
    request.unique = u64(FUSEWB_A_REQUEST_UNIQUE);
    request.opcode = u32(FUSEWB_A_REQUEST_OPCODE);
    request.request_class = u32(FUSEWB_A_REQUEST_CLASS);
    request.node = u64(FUSEWB_A_REQUEST_NODEID);
    request.state = u32(FUSEWB_A_REQUEST_STATE);
    request.age_usec = u64(FUSEWB_A_REQUEST_AGE_USEC);
    request.pid = u32(FUSEWB_A_REQUEST_PID);
    if (attributes.contains(FUSEWB_A_REQUEST_UID))
        request.uid = u32(FUSEWB_A_REQUEST_UID);
    request.deadline_ms = u32(FUSEWB_A_REQUEST_DEADLINE_MS);
    request.bytes = u32(FUSEWB_A_REQUEST_BYTES);
    if (attributes.contains(FUSEWB_A_REQUEST_ACTION))
        request.action = u32(FUSEWB_A_REQUEST_ACTION);
    return request;
}

std::uint32_t encoded_dev(dev_t dev) {
    return (minor(dev) & 0xff) | (major(dev) << 8) | ((minor(dev) & ~0xffu) << 12);
}

Netlink::Netlink() : socket_(open_socket()) {
    Reply reply = exchange(
        GENL_ID_CTRL, NLM_F_ACK, CTRL_CMD_GETFAMILY, 1,
        make_attribute(CTRL_ATTR_FAMILY_NAME, {FUSEWB_GENL_NAME, sizeof(FUSEWB_GENL_NAME)}));
    if (reply.error || reply.messages.empty())
        throw std::system_error(reply.error, std::generic_category(), "netlink family fusewb");
    auto attributes = parse_attributes(reply.messages.front().attributes);
    family_ = value<std::uint16_t>(attributes, CTRL_ATTR_FAMILY_ID);
    for (const auto &[index, group] : parse_attributes(attributes.at(CTRL_ATTR_MCAST_GROUPS))) {
        auto fields = parse_attributes(group);
        if (text(fields.at(CTRL_ATTR_MCAST_GRP_NAME)) == FUSEWB_MCGRP_EVENTS)
            group_ = value<std::uint32_t>(fields, CTRL_ATTR_MCAST_GRP_ID);
    }
}

Netlink::Reply Netlink::exchange(std::uint16_t type, std::uint16_t flags, std::uint8_t command,
                                 std::uint8_t version, std::string_view attributes) {
    struct {
        nlmsghdr netlink;
        genlmsghdr generic;
    } header{};
    header.netlink.nlmsg_len = static_cast<std::uint32_t>(sizeof(header) + attributes.size());
    header.netlink.nlmsg_type = type;
    header.netlink.nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
    header.netlink.nlmsg_seq = ++sequence_;
    header.generic.cmd = command;
    header.generic.version = version;
    std::string bytes(reinterpret_cast<const char *>(&header), sizeof(header));
    bytes += attributes;
    check(send(socket_, bytes.data(), bytes.size(), 0), "send netlink");

    Reply reply;
    for (;;) {
        std::string received = receive(socket_, reply_time_ms);
        if (received.empty())
            throw std::runtime_error("netlink: no reply");
        std::string_view rest = received;
        while (rest.size() >= sizeof(nlmsghdr)) {
            nlmsghdr netlink;
            std::memcpy(&netlink, rest.data(), sizeof(netlink));
            if (netlink.nlmsg_len < sizeof(netlink) || netlink.nlmsg_len > rest.size())
                throw std::runtime_error("malformed netlink message");
            std::string_view body =
                rest.substr(sizeof(netlink), netlink.nlmsg_len - sizeof(netlink));
            rest.remove_prefix(std::min<std::size_t>(NLMSG_ALIGN(netlink.nlmsg_len), rest.size()));
            if (netlink.nlmsg_seq != sequence_)
                continue;
            if (netlink.nlmsg_type == NLMSG_ERROR || netlink.nlmsg_type == NLMSG_DONE) {
                int error = 0;
                if (body.size() >= sizeof(error))
                    std::memcpy(&error, body.data(), sizeof(error));
                reply.error = -error;
                std::size_t fixed =
                    netlink.nlmsg_type == NLMSG_ERROR ? sizeof(nlmsgerr) : sizeof(int);
                if (netlink.nlmsg_flags & NLM_F_ACK_TLVS && body.size() > fixed) {
                    auto extended = parse_attributes(body.substr(fixed));
                    if (extended.contains(NLMSGERR_ATTR_MSG))
                        reply.text = text(extended.at(NLMSGERR_ATTR_MSG));
                }
                return reply;
            }
            if (body.size() < sizeof(genlmsghdr))
                throw std::runtime_error("generic netlink message without header");
            reply.messages.push_back({static_cast<unsigned char>(body[0]),
                                      std::string(body.substr(sizeof(genlmsghdr)))});
        }
    }
}

Netlink::Reply Netlink::request(unsigned command, unsigned flags, std::string_view attributes) {
    return exchange(family_, static_cast<std::uint16_t>(flags), static_cast<std::uint8_t>(command),
                    FUSEWB_GENL_VERSION, attributes);
}

Info Netlink::info() {
    Reply reply = request(FUSEWB_CMD_INFO_GET, NLM_F_ACK, {});
    if (reply.error || reply.messages.size() != 1)
        throw std::system_error(reply.error, std::generic_category(), "netlink info");
    auto attributes = parse_attributes(reply.messages.front().attributes);
    return {text(attributes.at(FUSEWB_A_INFO_VERSION)),
            value<std::uint32_t>(attributes, FUSEWB_A_INFO_PROTO_MAJOR),
            value<std::uint32_t>(attributes, FUSEWB_A_INFO_PROTO_MINOR),
            value<std::uint32_t>(attributes, FUSEWB_A_INFO_CONNECTIONS)};
}

std::vector<Connection> Netlink::dump() {
    Reply reply = request(FUSEWB_CMD_CONN_GET, NLM_F_DUMP, {});
    if (reply.error)
        throw std::system_error(reply.error, std::generic_category(), "netlink dump");
    std::vector<Connection> connections;
    for (const auto &message : reply.messages)
        connections.push_back(parse_connection(message));
    return connections;
}

std::optional<Connection> Netlink::get(std::uint64_t id) {
    Reply reply = request(FUSEWB_CMD_CONN_GET, NLM_F_ACK, make_u64_attribute(FUSEWB_A_CONN_ID, id));
    if (reply.error == ENOENT)
        return std::nullopt;
    if (reply.error || reply.messages.size() != 1)
        throw std::system_error(reply.error, std::generic_category(), "netlink connection");
    return parse_connection(reply.messages.front());
}

Connection Netlink::mounted_at(const std::filesystem::path &mount_point) {
    auto dev = encoded_dev(mounted_dev(mount_point));
    for (const auto &connection : dump())
        if (connection.dev == dev)
            return connection;
    throw std::runtime_error("no connection for " + mount_point.string());
}

void Netlink::set_policy(std::uint64_t id, const PolicyValues &values) {
    Reply reply = request(FUSEWB_CMD_CONN_SET, NLM_F_ACK,
                          make_u64_attribute(FUSEWB_A_CONN_ID, id) +
                              make_policy(FUSEWB_A_CONN_POLICY, values));
    if (reply.error)
        throw std::system_error(reply.error, std::generic_category(), "set policy: " + reply.text);
}

void Netlink::abort(std::uint64_t id) {
    Reply reply =
        request(FUSEWB_CMD_CONN_ABORT, NLM_F_ACK, make_u64_attribute(FUSEWB_A_CONN_ID, id));
    if (reply.error)
        throw std::system_error(reply.error, std::generic_category(), "abort: " + reply.text);
}

std::map<unsigned, PolicyValues> Netlink::defaults() {
    Reply reply = request(FUSEWB_CMD_POLICY_GET, NLM_F_ACK, {});
    if (reply.error || reply.messages.size() != 1)
        throw std::system_error(reply.error, std::generic_category(), "netlink policy");
    std::map<unsigned, PolicyValues> all;
    for (const auto &[type, nest] : parse_attributes(reply.messages.front().attributes))
        all[type] = parse_policy(nest);
    return all;
}

std::vector<StuckRequest> Netlink::requests(std::optional<std::uint64_t> id,
                                            std::optional<std::uint64_t> min_age_usec) {
    std::string attributes;
    if (id)
        attributes += make_u64_attribute(FUSEWB_A_REQUEST_CONN_ID, *id);
    if (min_age_usec)
        attributes += make_u64_attribute(FUSEWB_A_REQUEST_AGE_USEC, *min_age_usec);
    Reply reply = request(FUSEWB_CMD_REQUEST_GET, NLM_F_DUMP, attributes);
    if (reply.error)
        throw std::system_error(reply.error, std::generic_category(), "netlink requests");
    std::vector<StuckRequest> requests;
    for (const auto &message : reply.messages)
        requests.push_back(parse_request(message.attributes));
    return requests;
}

void Netlink::subscribe(int room) {
    events_ = open_socket();
    if (room)
        check(setsockopt(events_, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)),
              "SO_RCVBUFFORCE");
    check(setsockopt(events_, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group_, sizeof(group_)),
          "subscribe to events");
}

std::optional<Netlink::Message> Netlink::message(std::chrono::milliseconds time) {
    std::string received = receive(events_, static_cast<int>(time.count()));
    if (received.empty())
        return std::nullopt;
    nlmsghdr netlink;
    std::memcpy(&netlink, received.data(), sizeof(netlink));
    constexpr auto headers = sizeof(nlmsghdr) + sizeof(genlmsghdr);
    if (netlink.nlmsg_len > received.size() || netlink.nlmsg_len < headers)
        throw std::runtime_error("malformed event");
    return Message{static_cast<unsigned char>(received[sizeof(nlmsghdr)]),
                   received.substr(headers, netlink.nlmsg_len - headers)};
}

std::optional<Connection> Netlink::event(std::chrono::milliseconds time) {
    auto end = std::chrono::steady_clock::now() + time;
    for (;;) {
        auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
            end - std::chrono::steady_clock::now());
        auto found = message(std::max(left, std::chrono::milliseconds(0)));
        if (!found)
            return std::nullopt;
        if (found->command != FUSEWB_CMD_DEADLINE_EXPIRED &&
            found->command != FUSEWB_CMD_POLICY_CHANGED)
            return parse_connection(*found);
    }
}

std::optional<StuckRequest> Netlink::expired(std::uint64_t id, std::chrono::milliseconds time) {
    auto end = std::chrono::steady_clock::now() + time;
    for (;;) {
        auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
            end - std::chrono::steady_clock::now());
        auto found = message(std::max(left, std::chrono::milliseconds(0)));
        if (!found)
            return std::nullopt;
        if (found->command != FUSEWB_CMD_DEADLINE_EXPIRED)
            continue;
        auto request = parse_request(found->attributes);
        if (request.connection == id)
            return request;
    }
}

} // namespace fusewb::test
