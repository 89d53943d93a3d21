// SPDX-License-Identifier: GPL-2.0-only
#include "core/holds.h"

#include "base/log.h"

#include <cerrno>
#include <cstring>
#include <exception>
#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

namespace fusewb::core {

Holds::Hold::~Hold() {
    source.reset();
    close(watched);
}

Result<Holds::Begun> Holds::begin() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
        return Failure{std::string("cannot make a pipe: ") + std::strerror(errno), errno};
    const std::uint64_t key = ++last_;
    auto hold = std::make_unique<Hold>(this, key, ends[0]);
    sd_event_source *source = nullptr;
    // Hanging up is told of unasked; what is written into the pipe is nobody's business.
    if (const int error = sd_event_add_io(loop_, &source, ends[0], 0, onEnd, hold.get());
        error < 0) {
        close(ends[1]);
        return Failure{std::string("cannot watch a pipe: ") + std::strerror(-error), -error};
    }
    hold->source.reset(source);
    holds_.emplace(key, std::move(hold));
    return Begun{key, ends[1]};
}

int Holds::onEnd(sd_event_source *, int, std::uint32_t, void *data) noexcept {
    auto *hold = static_cast<Hold *>(data);
    Holds &owner = *hold->owner;
    const std::uint64_t key = hold->key;
    try {
        owner.holds_.erase(key);
        owner.ended_(key);
    } catch (const std::exception &error) {
        log::error("a hold does not end well: ", error.what());
    }
    return 0;
}

} // namespace fusewb::core
