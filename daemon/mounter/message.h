// SPDX-License-Identifier: GPL-2.0-only
// What fusewbd asks of fusewb-mounter, which is started for each question by the socket unit: one
// packet with descriptors, and one packet back.
#pragma once

#include "base/result.h"

#include <cstdint>
#include <string>
#include <sys/types.h>
#include <utility>
#include <vector>

namespace fusewb::mounter {

inline constexpr const char *socketPath = "/run/fusewb-mounter.socket";

/// A descriptor that is closed at the end of its owner.
class Descriptor {
public:
    Descriptor() = default;
    explicit Descriptor(int fd) : fd_(fd) {}
    Descriptor(Descriptor &&other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Descriptor &operator=(Descriptor &&other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    ~Descriptor();

    int get() const { return fd_; }
    bool held() const { return fd_ >= 0; }

private:
    int fd_ = -1;
};

enum class Verb : std::uint32_t { Mount = 1, Unmount = 2 };

struct Request {
    Verb verb = Verb::Mount;
    uid_t user = 0;  // whose place it has to be, and who will own the mount
    gid_t group = 0; // who has not this one may not use the mount, the user included
    std::string source;
    std::string subtype;
    std::string options; // as mount_options.h knows them, with commas between
    Descriptor place;    // the directory or file to mount on, or the root of the mount to take away
    Descriptor nameSpace; // the mount namespace that the place is in
    Descriptor device;    // an open /dev/fusewb; for Mount only
};

/// Sends the request over a socket that keeps packets apart; does not wait.
Outcome send(int socket, const Request &request);

/// The request that is next on the socket. Whatever else comes is a failure with EBADMSG.
Result<Request> receive(int socket);

/// The answer: done, or a failure with its errno and its words.
Outcome sendAnswer(int socket, const Outcome &answer);

/// The answer that is next on the socket, which may be a failure to read one.
Outcome receiveAnswer(int socket);

} // namespace fusewb::mounter
