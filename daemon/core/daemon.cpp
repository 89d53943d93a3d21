// SPDX-License-Identifier: GPL-2.0-only
#include "core/daemon.h"

#include "base/log.h"
#include "proc/server.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

namespace fusewb::core {

namespace {

// A machine that starts and stops containers changes its mounts all the time: look at most this
// often in that time, the last change is never missed.
constexpr std::uint64_t mountIntervalUSec = 1'000'000;
constexpr unsigned mountReadsPerInterval = 10;

} // namespace

Daemon::Descriptor::~Descriptor() { reset(-1); }

void Daemon::Descriptor::reset(int fd) {
    if (fd_ >= 0)
        ::close(fd_);
    fd_ = fd;
}

Daemon::Daemon(sd_event *loop, std::unique_ptr<kernel::Link> link, Settings settings)
    : loop_(loop), settings_(std::move(settings)), registry_(*this), link_(std::move(link)) {}

Daemon::~Daemon() = default;

Outcome Daemon::start() {
    if (Outcome watched = watchMounts(); !watched)
        return watched;
    if (Outcome watched = watchLink(); !watched)
        return watched;
    auto service = bus::Service::open(loop_, registry_, settings_.version,
                                      [this](model::ConnectionId id) { refresh(id); });
    if (!service)
        return service.failure();
    service_ = std::move(*service);
    return service_->own();
}

// The descriptor is only polled; to read, the file is opened anew.
Outcome Daemon::watchMounts() {
    mountinfo_.reset(::open(settings_.mountinfo.c_str(), O_RDONLY | O_CLOEXEC));
    if (mountinfo_.get() < 0)
        return Failure{"cannot open " + settings_.mountinfo + ": " + std::strerror(errno), errno};
    readMounts();
    sd_event_source *source = nullptr;
    if (const int error =
            sd_event_add_io(loop_, &source, mountinfo_.get(), EPOLLPRI, onMounts, this);
        error < 0)
        return Failure{"cannot watch " + settings_.mountinfo + ": " + std::strerror(-error),
                       -error};
    mountSource_.reset(source);
    sd_event_source_set_ratelimit(source, mountIntervalUSec, mountReadsPerInterval);
    return done();
}

Outcome Daemon::watchLink() {
    if (Outcome started = link_->start(*this); !started)
        return started;
    sd_event_source *source = nullptr;
    if (const int error =
            sd_event_add_io(loop_, &source, link_->descriptor(), EPOLLIN, onLink, this);
        error < 0)
        return Failure{std::string("cannot watch the kernel: ") + std::strerror(-error), -error};
    linkSource_.reset(source);
    return done();
}

void Daemon::readMounts() {
    auto mounts = proc::readMountinfo(settings_.mountinfo);
    if (!mounts) {
        log::warning(mounts.failure().what);
        return;
    }
    mounts_ = std::move(*mounts);
    registry_.mountsChanged();
}

void Daemon::refresh(model::ConnectionId id) {
    const std::uint64_t now = turn();
    if (const auto last = fresh_.find(id); last != fresh_.end() && last->second == now)
        return;
    fresh_[id] = now;
    const auto facts = link_->fetch(id);
    if (facts)
        registry_.apply(*facts);
    else if (facts.failure().error != ENOENT) // its removal is on the way
        log::warning("cannot read connection ", id, ": ", facts.failure().what);
}

std::uint64_t Daemon::turn() const {
    std::uint64_t iteration = 0;
    sd_event_get_iteration(loop_, &iteration);
    return iteration;
}

int Daemon::onMounts(sd_event_source *source, int, std::uint32_t, void *data) noexcept {
    try {
        static_cast<Daemon *>(data)->readMounts();
        return 0;
    } catch (const std::exception &error) {
        return fail(source, error.what());
    }
}

int Daemon::onLink(sd_event_source *source, int, std::uint32_t, void *data) noexcept {
    try {
        const Outcome taken = static_cast<Daemon *>(data)->link_->process();
        return taken ? 0 : fail(source, taken.failure().what);
    } catch (const std::exception &error) {
        return fail(source, error.what());
    }
}

int Daemon::fail(sd_event_source *source, const std::string &what) noexcept {
    log::error(what);
    return sd_event_exit(sd_event_source_get_event(source), EXIT_FAILURE);
}

void Daemon::synchronised(const model::ModuleInfo &module,
                          const std::vector<model::KernelFacts> &all) {
    log::info("fusewb module ", module.version, ", ", all.size(),
              all.size() == 1 ? " connection" : " connections");
    fresh_.clear();
    for (const model::KernelFacts &facts : all)
        fresh_[facts.id] = turn();
    registry_.synchronise(module, all);
}

void Daemon::moduleGone() {
    fresh_.clear();
    registry_.moduleGone();
}

void Daemon::connectionSeen(const model::KernelFacts &facts) {
    log::debug("connection ", facts.id, " is ", name(facts.state));
    fresh_[facts.id] = turn();
    registry_.apply(facts);
}

void Daemon::connectionRemoved(model::ConnectionId id) {
    log::debug("connection ", id, " is removed");
    fresh_.erase(id);
    registry_.remove(id);
}

model::Server Daemon::serverOf(pid_t pid) { return proc::identify(pid); }

std::vector<std::string> Daemon::mountPointsOf(dev_t device) {
    const auto found = mounts_.find(device);
    return found == mounts_.end() ? std::vector<std::string>() : found->second;
}

} // namespace fusewb::core
