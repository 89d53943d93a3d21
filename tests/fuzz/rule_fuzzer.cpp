// SPDX-License-Identifier: GPL-2.0-only
// A rule file of any content is a rule whose values can be, or errors with lines that it has.
#include "policy/rule_file.h"

#include <algorithm>
#include <cstdlib>

namespace {

using namespace fusewb::policy;

struct OneAccount final : Accounts {
    std::optional<uid_t> user(const std::string &name) const override {
        return name == "root" ? std::optional<uid_t>(0) : std::nullopt;
    }
    std::optional<gid_t> group(const std::string &name) const override {
        return name == "root" ? std::optional<gid_t>(0) : std::nullopt;
    }
};

void require(bool holds) {
    if (!holds)
        std::abort();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char *data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char *>(data), size);
    const auto lines = std::count(text.begin(), text.end(), '\n') + 1;
    const auto parsed = parseRule("x.conf", "/x.conf", text, OneAccount());
    if (const auto *errors = std::get_if<std::vector<RuleError>>(&parsed)) {
        require(!errors->empty());
        for (const RuleError &error : *errors)
            require(error.line <= lines && !error.reason.empty());
        return 0;
    }
    const Rule &rule = std::get<Rule>(parsed);
    require(!rule.values.empty());
    for (const Description &description : settings()) {
        const auto value = rule.values.get(description.setting);
        if (!value)
            continue;
        require(static_cast<bool>(check(description, *value)));
        const auto again = parseValue(description, formatValue(description, *value));
        require(again && *again == *value);
    }
    const auto again = parseRule("x.conf", "/x.conf", formatRule(rule), OneAccount());
    require(std::holds_alternative<Rule>(again) &&
            formatRule(std::get<Rule>(again)) == formatRule(rule));
    Subject subject;
    subject.executable = "/usr/bin/sshfs";
    subject.user = 0;
    subject.mountPoints = {"/mnt"};
    mismatch(rule, subject);
    return 0;
}
