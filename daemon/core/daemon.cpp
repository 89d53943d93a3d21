// SPDX-License-Identifier: GPL-2.0-only
#include "core/daemon.h"

#include "base/log.h"
#include "policy/units.h"
#include "proc/server.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fcntl.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

namespace fusewb::core {

namespace {

// A machine that starts and stops containers changes its mounts all the time: look at most this
// often in that time, the last change is never missed.
constexpr std::uint64_t mountIntervalUSec = 1'000'000;
constexpr unsigned mountReadsPerInterval = 10;

// An answer that takes so long is none that can be counted on.
constexpr std::uint64_t sleepyUSec = 1'000'000;

// Each is a process of its own, which may hang for as long as its unit lets it.
constexpr std::size_t mountsAtOnce = 8;

// A bus that is restarted is back soon, or not for long.
constexpr std::uint64_t firstBusPauseUSec = 100'000;
constexpr std::uint64_t lastBusPauseUSec = 5'000'000;

log::Fields about(model::ConnectionId id) { return {{"FUSEWB_CONNECTION", std::to_string(id)}}; }

log::Fields about(const model::Request &request) {
    log::Fields fields = about(request.connection);
    fields.emplace_back("FUSEWB_OPERATION", model::operationName(request.opcode));
    fields.emplace_back("FUSEWB_UNIQUE", std::to_string(request.unique));
    fields.emplace_back("FUSEWB_AGE_USEC", std::to_string(request.ageUSec));
    return fields;
}

} // namespace

Daemon::Descriptor::~Descriptor() { reset(-1); }

void Daemon::Descriptor::reset(int fd) {
    if (fd_ >= 0)
        ::close(fd_);
    fd_ = fd;
}

Daemon::Daemon(sd_event *loop, std::unique_ptr<kernel::Link> link, const policy::Accounts &accounts,
               Settings settings)
    : loop_(loop), settings_(std::move(settings)), registry_(*this), link_(std::move(link)),
      governor_(*link_, registry_, accounts, settings_.ruleDirectories,
                Store(settings_.stateDirectory)),
      holds_(loop, [this](std::uint64_t key) { holdEnded(key); }),
      mounting_(loop, settings_.mounterSocket) {}

// Who holds something cannot tell the daemon any more when that is to end.
Daemon::~Daemon() {
    try {
        while (!held_.empty())
            holdEnded(held_.begin()->first);
    } catch (const std::exception &error) {
        log::error("a hold does not end well: ", error.what());
    }
}

Outcome Daemon::start() {
    governor_.load();
    if (Outcome watched = watchMounts(); !watched)
        return watched;
    if (Outcome watched = watchLink(); !watched)
        return watched;
    return openBus();
}

Outcome Daemon::openBus() {
    auto service =
        bus::Service::open(loop_, registry_, settings_.version, *this, [this] { busLost(); });
    if (!service)
        return service.failure();
    service_ = std::move(*service);
    if (Outcome owned = service_->own(); !owned) {
        service_.reset();
        return owned;
    }
    busPauseUSec_ = firstBusPauseUSec;
    return done();
}

// Called by the service, which has to last until the next turn of the loop.
void Daemon::busLost() {
    sd_event_source *source = nullptr;
    if (const int error = sd_event_add_time_relative(loop_, &source, CLOCK_MONOTONIC, busPauseUSec_,
                                                     0, onBusTimer, this);
        error < 0) {
        log::error("cannot wait for the bus: ", std::strerror(-error));
        sd_event_exit(loop_, EXIT_FAILURE);
        return;
    }
    busTimer_.reset(source);
}

void Daemon::tryBus() {
    service_.reset();
    const Outcome opened = openBus();
    if (opened) {
        log::info("the bus is there again");
        busTimer_.reset();
        return;
    }
    busPauseUSec_ = std::min(busPauseUSec_ * 2, lastBusPauseUSec);
    log::debug(opened.failure().what);
    busLost();
}

int Daemon::onBusTimer(sd_event_source *source, std::uint64_t, void *data) noexcept {
    try {
        static_cast<Daemon *>(data)->tryBus();
        return 0;
    } catch (const std::exception &error) {
        return fail(source, error.what());
    }
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
    governor_.surroundingsChanged();
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
        log::warning(about(id), "cannot read connection ", id, ": ", facts.failure().what);
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

void Daemon::synchronised(const model::ModuleInfo &module, const model::Defaults &defaults,
                          const std::vector<model::KernelFacts> &all) {
    log::info("fusewb module ", module.version, ", ", all.size(),
              all.size() == 1 ? " connection" : " connections");
    fresh_.clear();
    for (const model::KernelFacts &facts : all)
        fresh_[facts.id] = turn();
    registry_.synchronise(module, all);
    governor_.synchronised(defaults, all);
    if (service_)
        service_->defaultsChanged();
}

void Daemon::moduleGone() {
    fresh_.clear();
    registry_.moduleGone();
    governor_.moduleGone();
    if (service_)
        service_->defaultsChanged();
}

void Daemon::connectionSeen(const model::KernelFacts &facts) {
    log::debug("connection ", facts.id, " is ", name(facts.state));
    fresh_[facts.id] = turn();
    const model::Connection *known = registry_.find(facts.id);
    if (facts.state == model::State::Aborted && known &&
        known->kernel.state != model::State::Aborted) {
        log::Fields fields = about(facts.id);
        fields.emplace_back("FUSEWB_REASON", name(facts.abortReason));
        log::warning(fields, "connection ", facts.id, " (", known->server.executable,
                     ") is aborted: ", name(facts.abortReason));
    }
    registry_.apply(facts);
    governor_.seen(facts.id);
}

void Daemon::connectionRemoved(model::ConnectionId id) {
    log::debug("connection ", id, " is removed");
    fresh_.erase(id);
    governor_.removed(id);
    registry_.remove(id);
}

void Daemon::deadlineExpired(const model::Expiry &expiry) {
    const model::Request &request = expiry.request;
    const std::string action =
        policy::formatValue(policy::describe(policy::Setting::DeadlineAction), expiry.action);
    log::Fields fields = about(request);
    fields.emplace_back("FUSEWB_ACTION", action);
    fields.emplace_back("FUSEWB_PID", std::to_string(request.pid));
    log::warning(fields, "connection ", request.connection, ": ",
                 model::operationName(request.opcode), " number ", request.unique,
                 " has had no answer for ", policy::formatDuration(request.ageUSec / 1000 * 1000),
                 ", action: ", action);
    if (service_)
        service_->deadlineExpired(expiry);
}

void Daemon::defaultsChanged(const model::Defaults &changes) {
    governor_.defaultsChanged(changes);
    if (service_)
        service_->defaultsChanged();
}

// While the kernel tells a pid, it is that of the server.
model::Server Daemon::serverOf(const model::KernelFacts &facts) {
    return proc::identify(facts.serverPid, settings_.root, [this, &facts] {
        const auto now = link_->fetch(facts.id);
        return now && now->serverPid == facts.serverPid;
    });
}

std::vector<std::string> Daemon::mountPointsOf(dev_t device) {
    const auto found = mounts_.find(device);
    return found == mounts_.end() ? std::vector<std::string>() : found->second;
}

Outcome Daemon::setPolicy(model::ConnectionId id, const policy::Values &values) {
    return governor_.set(id, values);
}

Outcome Daemon::resetPolicy(model::ConnectionId id, const std::vector<policy::Setting> &settings) {
    return governor_.reset(id, settings);
}

Result<int> Daemon::holdPolicy(model::ConnectionId id, const policy::Values &values,
                               const std::string &reason) {
    const auto begun = holds_.begin();
    if (!begun)
        return begun.failure();
    if (const Outcome held = governor_.hold(id, begun->key, values, reason); !held) {
        holds_.cancel(begun->key);
        ::close(begun->descriptor);
        return held.failure();
    }
    held_[begun->key] = id;
    return begun->descriptor;
}

void Daemon::holdEnded(std::uint64_t key) {
    const auto hold = held_.find(key);
    if (hold == held_.end())
        return;
    const model::ConnectionId id = hold->second;
    held_.erase(hold);
    governor_.release(id, key);
}

Outcome Daemon::abort(model::ConnectionId id) { return link_->abort(id); }

Result<std::vector<model::Request>> Daemon::requests(model::ConnectionId id,
                                                     std::uint64_t minimumAgeUSec) {
    if (!registry_.find(id))
        return Failure{"connection " + std::to_string(id) + " is gone", ENOENT};
    return link_->requests(id, minimumAgeUSec);
}

Outcome Daemon::reload() { return governor_.reload(); }

Result<bus::Control::Explanation> Daemon::explain(model::ConnectionId id) {
    auto explanation = governor_.explain(id);
    if (!explanation)
        return explanation.failure();
    return Explanation{std::move(explanation->decision.verdicts),
                       std::move(explanation->effective)};
}

// A user's mounts are the connections whose device the user opened, wherever they are mounted, and
// though nobody but an open file holds them any more; and those that are being worked on.
Outcome Daemon::roomFor(mounter::Verb verb, uid_t user) const {
    if (user == 0)
        return done();
    const std::size_t inWork = mounting_.inWork(user);
    const auto held = static_cast<std::size_t>(
        std::count_if(registry_.connections().begin(), registry_.connections().end(),
                      [user](const auto &entry) { return entry.second.kernel.serverUid == user; }));
    if (verb == mounter::Verb::Mount && held + inWork >= settings_.mountsPerUser)
        return Failure{"there are " + std::to_string(held) +
                           " file systems of yours, and no user may have more than " +
                           std::to_string(settings_.mountsPerUser),
                       EDQUOT};
    if (inWork >= mountsAtOnce)
        return Failure{"more than " + std::to_string(mountsAtOnce) +
                           " mounts of yours are being worked on",
                       EDQUOT};
    return done();
}

void Daemon::mount(mounter::Request request, std::function<void(Outcome)> answer) {
    const uid_t user = request.user;
    if (const Outcome room = roomFor(request.verb, user); !room) {
        answer(room);
        return;
    }
    const char *what = request.verb == mounter::Verb::Mount ? "mounted" : "unmounted";
    mounting_.ask(
        std::move(request), [this, what, user, answer = std::move(answer)](const Outcome &outcome) {
            if (outcome)
                log::info({{"FUSEWB_USER", std::to_string(user)}}, what, " for user ", user);
            // The kernel has told of the connection before the mount was done: it is counted from
            // here.
            if (const Outcome taken = link_->process(); !taken)
                log::warning(taken.failure().what);
            answer(outcome);
        });
}

// A server that does not answer now may be the reason if the machine does not wake up well; the
// suspend itself does not wait for it.
void Daemon::beforeSleep() {
    const auto requests = link_->requests(std::nullopt, sleepyUSec);
    if (!requests)
        return;
    std::map<model::ConnectionId, const model::Request *> oldest;
    for (const model::Request &request : *requests) {
        const model::Request *&known = oldest[request.connection];
        if (!known || known->ageUSec < request.ageUSec)
            known = &request;
    }
    for (const auto &[id, request] : oldest) {
        const model::Connection *connection = registry_.find(id);
        log::warning(about(*request), "going to sleep while the server of connection ", id, " (",
                     connection ? connection->server.executable : std::string(),
                     ") has not answered ", model::operationName(request->opcode), " for ",
                     policy::formatDuration(request->ageUSec / 1000 * 1000));
    }
}

Outcome Daemon::setDefaults(const model::Defaults &changes) {
    if (Outcome set = governor_.setDefaults(changes); !set)
        return set;
    if (service_)
        service_->defaultsChanged();
    return done();
}

} // namespace fusewb::core
