// SPDX-License-Identifier: GPL-2.0-only
#include "mounter/message.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <span>
#include <sys/socket.h>
#include <unistd.h>

namespace fusewb::mounter {

namespace {

// Both ends are of one package; a number that changes tells those of two apart.
constexpr std::uint32_t version = 1;
constexpr std::size_t largest = 4096;
constexpr std::size_t mostDescriptors = 3;

struct Head {
    std::uint32_t version;
    std::uint32_t verb;
    std::uint32_t user;
    std::uint32_t group;
};

struct AnswerHead {
    std::uint32_t version;
    std::int32_t error;
};

Failure failed(const char *what) {
    const int error = errno;
    return {std::string(what) + ": " + std::strerror(error), error};
}

Failure malformed() { return {"a message that is none of this version", EBADMSG}; }

template <typename T> std::string bytesOf(const T &value) {
    return {reinterpret_cast<const char *>(&value), sizeof(value)};
}

Outcome sendPacket(int socket, std::string bytes, std::span<const int> descriptors) {
    if (bytes.size() > largest)
        return Failure{"a message that is too long", EMSGSIZE};
    iovec part{bytes.data(), bytes.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(mostDescriptors * sizeof(int))> space{};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (!descriptors.empty()) {
        message.msg_control = space.data();
        message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
        cmsghdr *head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(descriptors.size_bytes());
        std::memcpy(CMSG_DATA(head), descriptors.data(), descriptors.size_bytes());
    }
    if (sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        return failed("cannot send a message");
    return done();
}

struct Packet {
    std::string bytes;
    std::vector<Descriptor> descriptors;
};

Result<Packet> receivePacket(int socket) {
    std::array<char, largest> bytes;
    iovec part{bytes.data(), bytes.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(mostDescriptors * sizeof(int))> space{};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = space.data();
    message.msg_controllen = space.size();
    const ssize_t length = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    if (length < 0)
        return failed("cannot receive a message");
    Packet packet;
    packet.bytes.assign(bytes.data(), static_cast<std::size_t>(length));
    for (cmsghdr *head = CMSG_FIRSTHDR(&message); head; head = CMSG_NXTHDR(&message, head)) {
        if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
            continue;
        const std::size_t count = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (std::size_t i = 0; i < count; ++i) {
            int fd = -1;
            std::memcpy(&fd, CMSG_DATA(head) + i * sizeof(int), sizeof(int));
            packet.descriptors.emplace_back(fd);
        }
    }
    if (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
        return malformed();
    return packet;
}

} // namespace

Descriptor::~Descriptor() {
    if (fd_ >= 0)
        close(fd_);
}

Outcome send(int socket, const Request &request) {
    for (const std::string *text : {&request.source, &request.subtype, &request.options})
        if (text->find('\0') != std::string::npos)
            return Failure{"a name with a zero byte", EINVAL};
    std::string bytes = bytesOf(
        Head{version, static_cast<std::uint32_t>(request.verb), request.user, request.group});
    for (const std::string *text : {&request.source, &request.subtype, &request.options})
        bytes += *text + '\0';
    std::vector<int> descriptors{request.place.get(), request.nameSpace.get()};
    if (request.verb == Verb::Mount)
        descriptors.push_back(request.device.get());
    return sendPacket(socket, std::move(bytes), descriptors);
}

Result<Request> receive(int socket) {
    auto packet = receivePacket(socket);
    if (!packet)
        return packet.failure();
    Head head{};
    if (packet->bytes.size() < sizeof(head))
        return malformed();
    std::memcpy(&head, packet->bytes.data(), sizeof(head));
    if (head.version != version || (head.verb != static_cast<std::uint32_t>(Verb::Mount) &&
                                    head.verb != static_cast<std::uint32_t>(Verb::Unmount)))
        return malformed();
    Request request;
    request.verb = static_cast<Verb>(head.verb);
    request.user = head.user;
    request.group = head.group;
    std::size_t at = sizeof(head);
    for (std::string *text : {&request.source, &request.subtype, &request.options}) {
        const std::size_t end = packet->bytes.find('\0', at);
        if (end == std::string::npos)
            return malformed();
        *text = packet->bytes.substr(at, end - at);
        at = end + 1;
    }
    const std::size_t wanted = request.verb == Verb::Mount ? 3 : 2;
    if (at != packet->bytes.size() || packet->descriptors.size() != wanted)
        return malformed();
    request.place = std::move(packet->descriptors[0]);
    request.nameSpace = std::move(packet->descriptors[1]);
    if (wanted == 3)
        request.device = std::move(packet->descriptors[2]);
    return request;
}

Outcome sendAnswer(int socket, const Outcome &answer) {
    AnswerHead head{version, 0};
    std::string what;
    if (!answer) {
        head.error = answer.failure().error != 0 ? answer.failure().error : EIO;
        what = answer.failure().what.substr(0, largest / 2);
    }
    return sendPacket(socket, bytesOf(head) + what, {});
}

Outcome receiveAnswer(int socket) {
    const auto packet = receivePacket(socket);
    if (!packet)
        return packet.failure();
    AnswerHead head{};
    if (packet->bytes.empty())
        return Failure{"the mounter ended without an answer", EIO};
    if (packet->bytes.size() < sizeof(head))
        return malformed();
    std::memcpy(&head, packet->bytes.data(), sizeof(head));
    if (head.version != version)
        return malformed();
    if (head.error != 0)
        return Failure{packet->bytes.substr(sizeof(head)), head.error};
    return done();
}

} // namespace fusewb::mounter
