// SPDX-License-Identifier: GPL-2.0-only
// Text for programs: the members of the D-Bus interfaces under their own names.
#pragma once

#include "fusewbctl/bus.h"

#include <nlohmann/json.hpp>

namespace fusewb::ctl {

using Json = nlohmann::ordered_json;

Json toJson(const Properties &properties);
Json toJson(const Connection &connection); // with "Connection", its number
Json toJson(const Request &request);
Json toJson(const RuleInfo &rule);
Json toJson(const Explanation &explanation);
Json toJson(const Bus::Event &event);

/// As it is printed: bytes that are no UTF-8 are replaced, since JSON has no other text.
std::string dump(const Json &json, int indent = 2);

} // namespace fusewb::ctl
