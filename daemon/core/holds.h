// SPDX-License-Identifier: GPL-2.0-only
// Things that last for as long as somebody keeps a descriptor open.
#pragma once

#include "base/event.h"
#include "base/result.h"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>

namespace fusewb::core {

class Holds {
public:
    /// The loop must outlive the holds. A key ends once, and is not used again.
    Holds(sd_event *loop, std::function<void(std::uint64_t key)> ended)
        : loop_(loop), ended_(std::move(ended)) {}

    Holds(const Holds &) = delete;
    Holds &operator=(const Holds &) = delete;

    struct Begun {
        std::uint64_t key;
        int descriptor; // the caller's: when its last copy is closed the hold has ended
    };
    Result<Begun> begin();

    /// Forgets a hold that did not come to be.
    void cancel(std::uint64_t key) { holds_.erase(key); }

private:
    struct Hold {
        Holds *owner;
        std::uint64_t key;
        int watched;
        EventSource source;
        Hold(Holds *itsOwner, std::uint64_t itsKey, int fd)
            : owner(itsOwner), key(itsKey), watched(fd) {}
        ~Hold();
        Hold(const Hold &) = delete;
        Hold &operator=(const Hold &) = delete;
    };

    static int onEnd(sd_event_source *source, int fd, std::uint32_t events, void *data) noexcept;

    sd_event *const loop_;
    const std::function<void(std::uint64_t)> ended_;
    std::uint64_t last_ = 0;
    std::map<std::uint64_t, std::unique_ptr<Hold>> holds_;
};

} // namespace fusewb::core
