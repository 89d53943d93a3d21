// SPDX-License-Identifier: GPL-2.0-only
#pragma once

#include "policy/rule_file.h"

namespace fusewb::core {

/// The accounts that the machine's name service knows.
class SystemAccounts final : public policy::Accounts {
public:
    std::optional<uid_t> user(const std::string &name) const override;
    std::optional<gid_t> group(const std::string &name) const override;
};

} // namespace fusewb::core
