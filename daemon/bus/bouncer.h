// SPDX-License-Identifier: GPL-2.0-only
// Who may do what, as one table.
#pragma once

#include "bus/authority.h"
#include "bus/errors.h"

#include <memory>
#include <optional>
#include <string_view>

namespace fusewb::bus {

/// What a member of an interface is about.
enum class Access {
    Look,      // at what /proc shows everybody as well
    Inspect,   // details of what others are doing
    ManageOwn, // a connection whose device the caller opened
    Mount,     // a file system of the caller's own
    Manage,    // everything
    Write,     // a property: root may, and nobody is asked about others
};

/// The access that a member asks for; nothing: it is denied to all, root included.
std::optional<Access> accessFor(std::string_view interface, std::string_view member);

class Bouncer {
public:
    explicit Bouncer(std::unique_ptr<Authority> authority) : authority_(std::move(authority)) {}

    /// Calls back with nothing if the caller may, else with the error to answer. owner is the
    /// user whose connection it is about, where it is about one.
    void ask(const Caller &caller, std::string_view interface, std::string_view member,
             std::optional<uid_t> owner, std::function<void(std::optional<sdbus::Error>)> answer);

    /// For writing a property. Its answer cannot be put off as that of a method can, and whoever
    /// may ask polkit on the way to it has the whole daemon wait; so root may, and everybody else
    /// is told of the method that asks. Throws the error to answer.
    static void require(const Caller &caller, std::string_view interface,
                        std::string_view property);

private:
    std::unique_ptr<Authority> authority_;
};

} // namespace fusewb::bus
