// SPDX-License-Identifier: GPL-2.0-only
// Who decides about callers that are not root.
#pragma once

#include "bus/sdbus.h"

#include <functional>
#include <memory>
#include <string>
#include <sys/types.h>

namespace fusewb::bus {

/// Who sent the message that is being handled.
struct Caller {
    std::string name; // unique on the bus
    uid_t uid = 0;
    bool interactive = false; // may be asked for a password

    static Caller of(const sdbus::IObject &object);
};

enum class Verdict {
    Yes,
    No,
    Nobody,        // there is nobody to decide
    AfterQuestion, // only after a password, for which this caller must not be asked
};

class Authority {
public:
    virtual ~Authority() = default;

    /// The answer may take as long as a person takes; it comes out of the event loop, or at once.
    virtual void ask(const Caller &caller, const std::string &action,
                     std::function<void(Verdict)> answer) = 0;
};

/// polkit on this bus. While it is not there the answer is Nobody.
std::unique_ptr<Authority> makePolkit(sdbus::IConnection &bus);

} // namespace fusewb::bus
