// SPDX-License-Identifier: GPL-2.0-only
#include "bus/pump.h"

#include "base/log.h"

#include <cstdlib>
#include <cstring>
#include <exception>
#include <sys/epoll.h>
#include <time.h>

namespace fusewb::bus {

namespace {

// Without queued messages sd-bus has few timeouts, none of which needs more than this.
constexpr std::uint64_t timerAccuracyUSec = 1000;

Failure failure(int error) {
    return {std::string("cannot watch the bus: ") + std::strerror(-error), -error};
}

} // namespace

Result<std::unique_ptr<Pump>> Pump::attach(sdbus::IConnection &bus, sd_event *loop,
                                           std::function<void()> lost) {
    std::unique_ptr<Pump> pump(new Pump(bus, std::move(lost)));
    int fd = -1;
    try {
        fd = bus.getEventLoopPollData().fd;
    } catch (const sdbus::Error &error) {
        return Failure{"cannot watch the bus: " + error.getMessage()};
    }
    sd_event_source *source = nullptr;
    if (const int error = sd_event_add_io(loop, &source, fd, EPOLLIN, onReadable, pump.get());
        error < 0)
        return failure(error);
    pump->io_.reset(source);
    if (const int error = sd_event_source_set_prepare(source, onPrepare); error < 0)
        return failure(error);
    if (const int error = sd_event_add_time(loop, &source, CLOCK_MONOTONIC, 0, timerAccuracyUSec,
                                            onTime, pump.get());
        error < 0)
        return failure(error);
    pump->timer_.reset(source);
    return pump;
}

int Pump::onPrepare(sd_event_source *, void *data) noexcept {
    auto &pump = *static_cast<Pump *>(data);
    try {
        pump.prepare();
    } catch (const std::exception &error) {
        pump.stop(error.what());
    }
    return 0;
}

int Pump::onReadable(sd_event_source *, int, std::uint32_t, void *data) noexcept {
    auto &pump = *static_cast<Pump *>(data);
    try {
        pump.process();
    } catch (const std::exception &error) {
        pump.stop(error.what());
    }
    return 0;
}

int Pump::onTime(sd_event_source *, std::uint64_t, void *data) noexcept {
    return onReadable(nullptr, -1, 0, data);
}

void Pump::prepare() {
    const auto poll = bus_.getEventLoopPollData();
    // poll(2) and epoll(7) give the same bits the same meaning here.
    sd_event_source_set_io_events(io_.get(), static_cast<std::uint32_t>(poll.events));
    const int milliseconds = poll.getPollTimeout();
    if (milliseconds < 0) {
        sd_event_source_set_enabled(timer_.get(), SD_EVENT_OFF);
        return;
    }
    sd_event_source_set_time_relative(timer_.get(),
                                      static_cast<std::uint64_t>(milliseconds) * 1000);
    sd_event_source_set_enabled(timer_.get(), SD_EVENT_ONESHOT);
}

void Pump::process() { compat::processOne(bus_); }

void Pump::stop(const char *why) noexcept {
    sd_event_source_set_enabled(io_.get(), SD_EVENT_OFF);
    sd_event_source_set_enabled(timer_.get(), SD_EVENT_OFF);
    try {
        log::warning("the bus went away: ", why);
        lost_();
    } catch (const std::exception &) {
        sd_event_exit(sd_event_source_get_event(io_.get()), EXIT_FAILURE);
    }
}

} // namespace fusewb::bus
