// SPDX-License-Identifier: GPL-2.0-only
// A netlink attribute to be sent.
#pragma once

#include <cstdint>
#include <variant>
#include <vector>

namespace fusewb::kernel {

struct Attribute {
    int type = 0;
    /// The width of the number is that of the attribute; a list is a nest.
    std::variant<std::uint8_t, std::uint32_t, std::uint64_t, std::vector<Attribute>> value;

    bool operator==(const Attribute &) const = default;
};

} // namespace fusewb::kernel
