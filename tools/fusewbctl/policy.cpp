// SPDX-License-Identifier: GPL-2.0-only
// policy show, explain, check, reload
#include "fusewbctl/commands.h"
#include "fusewbctl/json.h"
#include "fusewbctl/table.h"
#include "policy/rule_set.h"

#include <grp.h>
#include <iostream>
#include <pwd.h>

namespace fusewb::ctl {

namespace {

struct LocalAccounts final : policy::Accounts {
    std::optional<uid_t> user(const std::string &name) const override {
        const passwd *entry = getpwnam(name.c_str());
        return entry ? std::optional<uid_t>(entry->pw_uid) : std::nullopt;
    }
    std::optional<gid_t> group(const std::string &name) const override {
        const ::group *entry = getgrnam(name.c_str());
        return entry ? std::optional<gid_t>(entry->gr_gid) : std::nullopt;
    }
};

} // namespace

Exit showPolicy(Style style) {
    Bus bus;
    const auto rules = bus.rules();
    if (style == Style::Json) {
        Json all = Json::array();
        for (const RuleInfo &rule : rules)
            all.push_back(toJson(rule));
        std::cout << dump(all) << "\n";
        return Exit::Success;
    }
    bool first = true;
    for (const RuleInfo &rule : rules) {
        std::cout << (first ? "" : "\n") << coloured(Colour::Dim, "# " + printable(rule.path))
                  << "\n";
        first = false;
        if (!rule.conditions.empty())
            std::cout << coloured(Colour::Bold, "[Match]") << "\n";
        for (const auto &[key, value] : rule.conditions)
            std::cout << key << "=" << printable(value) << "\n";
        std::cout << coloured(Colour::Bold, "[Policy]") << "\n";
        for (const auto &[key, value] : rule.values)
            std::cout << key << "=" << value << "\n";
    }
    if (rules.empty())
        std::cout << "No rule is in force.\n";
    return Exit::Success;
}

Exit explainPolicy(Style style, const std::string &which) {
    Bus bus;
    const Explanation explanation = bus.explain(bus.find(which).path);
    if (style == Style::Json) {
        std::cout << dump(toJson(explanation)) << "\n";
        return Exit::Success;
    }
    for (const auto &rule : explanation.rules)
        std::cout << (rule.decides ? coloured(Colour::Green, "decides  ") : std::string(9, ' '))
                  << printable(rule.rule) << (rule.decides ? "" : ": " + printable(rule.reason))
                  << "\n";
    if (explanation.rules.empty())
        std::cout << "There are no rules.\n";
    Table table({"POLICY", "VALUE", "FROM"});
    for (const auto &value : explanation.values)
        table.add({value.key, value.value,
                   value.origin + (value.detail.empty() ? "" : " " + printable(value.detail))});
    std::cout << "\n" << table.text();
    return Exit::Success;
}

Exit checkPolicy(Style style, const std::vector<std::string> &files) {
    const LocalAccounts accounts;
    policy::RuleSet set;
    if (files.empty())
        set = policy::readRules(policy::ruleDirectories, accounts);
    for (const std::string &file : files) {
        policy::RuleSet one = policy::readRuleFile(file, accounts);
        set.rules.insert(set.rules.end(), one.rules.begin(), one.rules.end());
        set.errors.insert(set.errors.end(), one.errors.begin(), one.errors.end());
    }
    if (style == Style::Json) {
        Json errors = Json::array();
        for (const policy::RuleError &error : set.errors)
            errors.push_back(
                Json{{"path", error.path}, {"line", error.line}, {"reason", error.reason}});
        std::cout << dump(Json{{"rules", set.rules.size()}, {"errors", std::move(errors)}}) << "\n";
    } else {
        for (const policy::RuleError &error : set.errors)
            std::cout << error.text() << "\n";
        if (set.errors.empty())
            std::cout << set.rules.size() << (set.rules.size() == 1 ? " rule" : " rules")
                      << " without an error.\n";
    }
    return set.errors.empty() ? Exit::Success : Exit::Findings;
}

Exit reloadPolicy() {
    Bus bus;
    const PasswordAgent agent;
    bus.reload();
    return Exit::Success;
}

} // namespace fusewb::ctl
