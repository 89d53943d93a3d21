// SPDX-License-Identifier: GPL-2.0-only
// A generic netlink socket: libnl's, which hands out messages instead of calling back.
#pragma once

#include "base/result.h"
#include "kernel/attribute.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

struct nl_sock;
struct nlmsghdr;

namespace fusewb::kernel {

/// One netlink message with its header, as it was received.
class Message {
public:
    explicit Message(std::vector<std::byte> bytes) : bytes_(std::move(bytes)) {}

    const nlmsghdr *header() const { return reinterpret_cast<const nlmsghdr *>(bytes_.data()); }
    std::size_t size() const { return bytes_.size(); }

private:
    std::vector<std::byte> bytes_;
};

using Messages = std::vector<Message>;

/// What is asked of a family.
struct Question {
    int family = 0;
    int version = 0;
    int command = 0;
    bool dump = false; // ask for everything there is
    std::vector<Attribute> attributes = {};
};

class GenlSocket {
public:
    /// A socket for ask() and the resolvers.
    static Result<GenlSocket> forRequests();

    /// A socket for join(), leave() and receive(); its descriptor does not block.
    static Result<GenlSocket> forEvents();

    int descriptor() const;

    /// The number of a family; error is ENOENT if it is not registered.
    Result<int> resolveFamily(const std::string &name);

    /// The number of a multicast group of a family; error is ENOENT if there is none.
    Result<int> resolveGroup(const std::string &family, const std::string &group);

    /// The replies to a question, none if the kernel only acknowledges it; or the errno that it
    /// answered, with its own words where it has any. error is EINTR if what
    /// is dumped changed meanwhile and the question has to be asked anew, EAGAIN if the kernel
    /// did not answer for seconds.
    Result<Messages> ask(const Question &question);

    Outcome join(int group);
    void leave(int group);

    /// The messages that are waiting, none if there are none. error is ENOBUFS if some were lost:
    /// those that waited are thrown away then, and what comes from then on is heard again.
    Result<Messages> receive();

private:
    struct Free {
        void operator()(nl_sock *socket) const;
    };
    using Socket = std::unique_ptr<nl_sock, Free>;

    explicit GenlSocket(Socket socket) : socket_(std::move(socket)) {}

    Socket socket_;
};

} // namespace fusewb::kernel
