// SPDX-License-Identifier: GPL-2.0-only
// Mounts and unmounts for users, which fusewb-mounter does: a connection to its socket for each,
// on which systemd starts it.
#pragma once

#include "base/event.h"
#include "base/result.h"
#include "mounter/message.h"

#include <cstddef>
#include <functional>
#include <map>
#include <string>

namespace fusewb::core {

class Mounting {
public:
    using Answer = std::function<void(Outcome)>;

    /// The loop must outlive it.
    Mounting(sd_event *loop, std::string socket);
    ~Mounting();
    Mounting(const Mounting &) = delete;
    Mounting &operator=(const Mounting &) = delete;

    /// Has it done; the answer comes out of the loop, or at once if it cannot be asked for. The
    /// request's descriptors are closed on return, so that the last one of a file system whose
    /// server hangs is never this process's.
    void ask(mounter::Request request, Answer answer);

    /// How many of the user's requests have no answer yet.
    std::size_t inWork(uid_t user) const;

private:
    struct Job;
    Outcome begin(const mounter::Request &request, Answer &answer);
    void end(const Job *job, const std::function<Outcome()> &outcome) noexcept;

    static int onAnswer(sd_event_source *, int fd, std::uint32_t, void *data) noexcept;
    static int onTimeout(sd_event_source *, std::uint64_t, void *data) noexcept;

    sd_event *const loop_;
    const std::string socket_;
    std::map<const Job *, std::unique_ptr<Job>> jobs_;
};

} // namespace fusewb::core
