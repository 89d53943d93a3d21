// SPDX-License-Identifier: GPL-2.0-only
#include "bus/authority.h"

namespace fusewb::bus {

Caller Caller::of(const sdbus::IObject &object) {
    const auto &message = compat::currentMessage(object);
    return {message.getSender(), message.getCredsEuid(), compat::allowsInteraction(message)};
}

} // namespace fusewb::bus
