// SPDX-License-Identifier: GPL-2.0-only
// Runs a bus connection from an sd-event loop.
#pragma once

#include "base/event.h"
#include "base/result.h"
#include "bus/sdbus.h"

#include <functional>
#include <memory>

namespace fusewb::bus {

/// Both versions of the library say what to poll for and handle one message when told to; only
/// the newer one knows sd-event, and lets an exception pass through its C code when the bus goes
/// away. So this does it for both: before the loop sleeps it asks what to wait for.
class Pump {
public:
    /// Messages are handled by the loop from then on, one a turn. When the bus goes away that stops
    /// and lost is called, which must not destroy the pump yet. Bus and loop must outlive it.
    static Result<std::unique_ptr<Pump>> attach(sdbus::IConnection &bus, sd_event *loop,
                                                std::function<void()> lost);

    Pump(const Pump &) = delete;
    Pump &operator=(const Pump &) = delete;

private:
    Pump(sdbus::IConnection &bus, std::function<void()> lost) : bus_(bus), lost_(std::move(lost)) {}

    static int onPrepare(sd_event_source *source, void *data) noexcept;
    static int onReadable(sd_event_source *source, int fd, std::uint32_t events,
                          void *data) noexcept;
    static int onTime(sd_event_source *source, std::uint64_t usec, void *data) noexcept;
    void prepare();
    void process();
    void stop(const char *why) noexcept;

    sdbus::IConnection &bus_;
    const std::function<void()> lost_;
    EventSource io_;
    EventSource timer_;
};

} // namespace fusewb::bus
