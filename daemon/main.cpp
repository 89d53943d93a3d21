// SPDX-License-Identifier: GPL-2.0-only
// fusewbd: decides about fusewb file systems, and shows them and their servers on the system bus.
#include "base/event.h"
#include "base/log.h"
#include "core/accounts.h"
#include "core/daemon.h"
#include "core/options.h"
#include "kernel/genl_link.h"

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <iostream>
#include <systemd/sd-daemon.h>
#include <time.h>

namespace {

using namespace fusewb;

// SIGTERM and SIGINT end the loop with success, the watchdog is fed from it if systemd asks. SIGHUP
// is blocked here, and watched for once there is something to reload.
EventLoop makeLoop() {
    sigset_t ending;
    sigemptyset(&ending);
    sigaddset(&ending, SIGTERM);
    sigaddset(&ending, SIGINT);
    sigaddset(&ending, SIGHUP);
    sd_event *created = nullptr;
    int error = sd_event_new(&created);
    EventLoop loop(created);
    if (error >= 0 && sigprocmask(SIG_BLOCK, &ending, nullptr) < 0)
        error = -errno;
    if (error >= 0)
        error = sd_event_add_signal(loop.get(), nullptr, SIGTERM, nullptr, nullptr);
    if (error >= 0)
        error = sd_event_add_signal(loop.get(), nullptr, SIGINT, nullptr, nullptr);
    if (error >= 0)
        error = sd_event_set_watchdog(loop.get(), 1);
    if (error < 0) {
        log::error("cannot make an event loop: ", std::strerror(-error));
        loop.reset();
    }
    return loop;
}

// What Type=notify-reload wants to know, and Type=notify understands: a reload begins now, and ends
// with READY=1.
void sayReloading() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu",
               static_cast<unsigned long long>(now.tv_sec) * 1'000'000 +
                   static_cast<unsigned long long>(now.tv_nsec) / 1000);
}

// An error in a rule file is logged, and leaves the rules as they are.
int onHangup(sd_event_source *, const signalfd_siginfo *, void *data) noexcept {
    sayReloading();
    try {
        if (static_cast<core::Daemon *>(data)->reload())
            log::debug("the rules were read anew");
    } catch (const std::exception &error) {
        log::error("cannot read the rules anew: ", error.what());
    }
    sd_notify(0, "READY=1");
    return 0;
}

int run(const core::Options &options) {
    log::setLevel(options.logLevel);
    const EventLoop loop = makeLoop();
    if (!loop)
        return EXIT_FAILURE;
    auto link = kernel::GenlLink::open();
    if (!link) {
        log::error(link.failure().what);
        return EXIT_FAILURE;
    }
    const core::SystemAccounts accounts;
    core::Daemon daemon(loop.get(), std::move(*link), accounts,
                        {.version = FUSEWB_VERSION, .mountsPerUser = options.mountsPerUser});
    if (const Outcome started = daemon.start(); !started) {
        log::error(started.failure().what);
        return EXIT_FAILURE;
    }
    sd_event_source *source = nullptr;
    if (const int error = sd_event_add_signal(loop.get(), &source, SIGHUP, onHangup, &daemon);
        error < 0) {
        log::error("cannot watch for SIGHUP: ", std::strerror(-error));
        return EXIT_FAILURE;
    }
    const EventSource hangup(source);
    sd_notify(0, "READY=1");
    const int status = sd_event_loop(loop.get());
    sd_notify(0, "STOPPING=1");
    if (status < 0) {
        log::error("the event loop failed: ", std::strerror(-status));
        return EXIT_FAILURE;
    }
    return status;
}

} // namespace

int main(int argc, char **argv) {
    try {
        const auto parsed = core::parse(argc, argv, FUSEWB_VERSION);
        if (const auto *ending = std::get_if<core::Ending>(&parsed)) {
            (ending->status == 0 ? std::cout : std::cerr) << ending->text << std::flush;
            return ending->status;
        }
        return run(std::get<core::Options>(parsed));
    } catch (const std::exception &error) {
        log::error(error.what());
        return EXIT_FAILURE;
    }
}
