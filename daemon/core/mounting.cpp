// SPDX-License-Identifier: GPL-2.0-only
#include "core/mounting.h"

#include "base/log.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <exception>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

namespace fusewb::core {

namespace {

// Longer than the unit of the mounter may run, so that this is for the case that it never does.
constexpr std::uint64_t patienceUSec = 60'000'000;

Failure failed(const std::string &what, int error) {
    return {what + ": " + std::strerror(error), error};
}

} // namespace

struct Mounting::Job {
    Mounting *owner = nullptr;
    uid_t user = 0;
    Answer answer;
    mounter::Descriptor socket;
    EventSource answers;
    EventSource timer;
};

Mounting::Mounting(sd_event *loop, std::string socket) : loop_(loop), socket_(std::move(socket)) {}

Mounting::~Mounting() = default;

void Mounting::ask(mounter::Request request, Answer answer) {
    if (const Outcome begun = begin(request, answer); !begun)
        answer(begun);
}

std::size_t Mounting::inWork(uid_t user) const {
    return static_cast<std::size_t>(std::count_if(
        jobs_.begin(), jobs_.end(), [user](const auto &job) { return job.second->user == user; }));
}

// The answer is taken only where the outcome is good.
Outcome Mounting::begin(const mounter::Request &request, Answer &answer) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (socket_.size() >= sizeof(address.sun_path))
        return Failure{"the path of the mounter's socket is too long", ENAMETOOLONG};
    std::memcpy(address.sun_path, socket_.c_str(), socket_.size() + 1);

    auto job = std::make_unique<Job>();
    job->owner = this;
    job->user = request.user;
    job->socket =
        mounter::Descriptor(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!job->socket.held())
        return failed("cannot ask for a mount", errno);
    if (connect(job->socket.get(), reinterpret_cast<const sockaddr *>(&address), sizeof(address)) <
        0)
        return failed("cannot reach " + socket_ + ", where fusewb-mounter.socket listens", errno);
    if (Outcome sent = mounter::send(job->socket.get(), request); !sent)
        return sent;

    sd_event_source *source = nullptr;
    if (const int error =
            sd_event_add_io(loop_, &source, job->socket.get(), EPOLLIN, onAnswer, job.get());
        error < 0)
        return failed("cannot wait for the mounter", -error);
    job->answers.reset(source);
    if (const int error = sd_event_add_time_relative(loop_, &source, CLOCK_MONOTONIC, patienceUSec,
                                                     0, onTimeout, job.get());
        error < 0)
        return failed("cannot wait for the mounter", -error);
    job->timer.reset(source);
    job->answer = std::move(answer);
    const Job *key = job.get();
    jobs_.emplace(key, std::move(job));
    return done();
}

void Mounting::end(const Job *job, const std::function<Outcome()> &outcome) noexcept {
    try {
        job->answer(outcome());
    } catch (const std::exception &error) {
        log::error("a mount does not end well: ", error.what());
    }
    // Only now, so that no mount is counted too late.
    jobs_.erase(job);
}

int Mounting::onAnswer(sd_event_source *, int fd, std::uint32_t, void *data) noexcept {
    const auto *job = static_cast<Job *>(data);
    job->owner->end(job, [fd] { return mounter::receiveAnswer(fd); });
    return 0;
}

int Mounting::onTimeout(sd_event_source *, std::uint64_t, void *data) noexcept {
    const auto *job = static_cast<Job *>(data);
    job->owner->end(job, [] { return Failure{"the mounter does not answer", ETIMEDOUT}; });
    return 0;
}

} // namespace fusewb::core
