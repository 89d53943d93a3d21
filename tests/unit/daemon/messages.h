// SPDX-License-Identifier: GPL-2.0-only
// Messages of the family, as bytes.
#pragma once

#include "model/connection.h"

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

struct nlmsghdr;

namespace fusewb::test {

/// A message, or what is left of one; the end of the bytes is the end of an allocation, so that a
/// sanitizer sees a read beyond.
class Bytes {
public:
    explicit Bytes(std::vector<std::byte> bytes) : bytes_(std::move(bytes)) {}

    const nlmsghdr *header() const { return reinterpret_cast<const nlmsghdr *>(bytes_.data()); }
    std::size_t size() const { return bytes_.size(); }
    std::vector<std::byte> &raw() { return bytes_; }
    Bytes cut(std::size_t size) const;

private:
    std::vector<std::byte> bytes_;
};

/// Written as hexadecimal digits; white space does not matter.
Bytes fromHex(std::string_view digits);

/// What a message about a connection is made of; absent members are left out.
struct Parts {
    int command;
    bool id = true;
    bool device = true;
    bool state = true;
    bool counters = true;
    std::uint32_t stateValue = 1;
    std::uint32_t writebackValue = 2;
    int extraType = 0; // an attribute of this type with 3 bytes in it, 0 for none
    bool shortDevice = false;
};

/// Made by libnl from the parts, for the connection that sample() is.
Bytes connectionMessage(const Parts &parts);

/// The values connectionMessage() has.
model::KernelFacts sample();

} // namespace fusewb::test
