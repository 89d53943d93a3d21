// SPDX-License-Identifier: GPL-2.0-only
// Ownership of sd-event's objects.
#pragma once

#include <memory>
#include <systemd/sd-event.h>

namespace fusewb {

struct EventUnref {
    void operator()(sd_event *loop) const { sd_event_unref(loop); }
    // The source is switched off too: the loop may hold a reference of its own.
    void operator()(sd_event_source *source) const { sd_event_source_disable_unref(source); }
};

using EventLoop = std::unique_ptr<sd_event, EventUnref>;
using EventSource = std::unique_ptr<sd_event_source, EventUnref>;

} // namespace fusewb
