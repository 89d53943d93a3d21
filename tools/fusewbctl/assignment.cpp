// SPDX-License-Identifier: GPL-2.0-only
#include "fusewbctl/assignment.h"

#include "policy/setting.h"

namespace fusewb::ctl {

namespace {

sdbus::Variant variantOf(const policy::Description &description, std::uint64_t value) {
    switch (description.kind) {
    case policy::Kind::Choice:
        return sdbus::Variant(policy::formatValue(description, value));
    case policy::Kind::Duration:
        return sdbus::Variant(value);
    case policy::Kind::Boolean:
        return sdbus::Variant(value != 0);
    case policy::Kind::Percent:
    case policy::Kind::Size:
        break;
    }
    return sdbus::Variant(static_cast<std::uint32_t>(value));
}

std::string allKeys() {
    std::string keys;
    for (const policy::Description &description : policy::settings())
        keys += (keys.empty() ? "" : ", ") + std::string(description.key);
    return keys;
}

} // namespace

Assignments parseAssignments(const std::vector<std::string> &words) {
    Assignments assignments;
    for (const std::string &word : words) {
        const std::size_t split = word.find('=');
        if (split == std::string::npos)
            throw Problem{Exit::Usage, "\"" + word + "\" is not KEY=VALUE"};
        const policy::Description *description =
            policy::findByKey(std::string_view(word).substr(0, split));
        if (!description)
            throw Problem{Exit::Usage, "there is no key \"" + word.substr(0, split) +
                                           "\"; there are " + allKeys()};
        const std::string property(description->property);
        if (split + 1 == word.size()) {
            assignments.reset.push_back(property);
            continue;
        }
        const auto value = policy::parseValue(*description, word.substr(split + 1));
        if (!value)
            throw Problem{Exit::Usage, std::string(description->key) + ": " + value.failure().what};
        assignments.values[property] = variantOf(*description, *value);
    }
    return assignments;
}

} // namespace fusewb::ctl
