// SPDX-License-Identifier: GPL-2.0-only
// All files are rules, those in set/ without [Match], so that a person can read them.
#include "core/store.h"

#include "base/log.h"
#include "policy/rule_set.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <set>
#include <unistd.h>

namespace fusewb::core {

namespace {

struct NoAccounts final : policy::Accounts {
    std::optional<uid_t> user(const std::string &) const override { return std::nullopt; }
    std::optional<gid_t> group(const std::string &) const override { return std::nullopt; }
};

// The number of a connection is used again after the module was loaded anew.
std::string nameOf(const model::KernelFacts &facts) {
    return std::to_string(facts.load) + "-" + std::to_string(facts.id) + ".conf";
}

Failure failure(const std::string &path) {
    return {"cannot keep " + path + ": " + std::strerror(errno), errno};
}

bool writeAll(int fd, const std::string &text) {
    std::size_t done = 0;
    while (done < text.size()) {
        const ssize_t written = write(fd, text.data() + done, text.size() - done);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return false;
        done += static_cast<std::size_t>(written);
    }
    return true;
}

Outcome writeFile(const std::string &path, const std::string &text) {
    const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return failure(path);
    const bool written = writeAll(fd, text);
    if (close(fd) < 0 || !written)
        return failure(path);
    return fusewb::done();
}

// What is kept of the default policies, beside what is of connections.
constexpr const char *privilegedName = "default-privileged.conf";
constexpr const char *othersName = "default-others.conf";

constexpr const char *rulesName = "/in-force";

} // namespace

policy::Values Store::loadValues(const std::string &name) const {
    if (directory_.empty() || ::access(pathOf(name).c_str(), F_OK) < 0)
        return {};
    const policy::RuleSet set = policy::readRuleFile(pathOf(name), NoAccounts());
    for (const policy::RuleError &error : set.errors)
        log::warning("what was set by hand is forgotten: ", error.text());
    return set.errors.empty() ? set.rules.front().values : policy::Values();
}

Outcome Store::saveValues(const std::string &name, const policy::Values &values) const {
    if (directory_.empty())
        return fusewb::done();
    const std::string path = pathOf(name);
    if (values.empty()) {
        if (unlink(path.c_str()) < 0 && errno != ENOENT)
            return failure(path);
        return fusewb::done();
    }
    std::error_code error;
    std::filesystem::create_directories(directory_ + "/set", error);
    policy::Rule rule;
    rule.values = values;
    const std::string fresh = path + ".new";
    if (Outcome written = writeFile(fresh, "# Set by hand.\n" + policy::formatRule(rule)); !written)
        return written;
    if (rename(fresh.c_str(), path.c_str()) < 0)
        return failure(path);
    return fusewb::done();
}

policy::Values Store::load(const model::KernelFacts &facts) const {
    return loadValues(nameOf(facts));
}

Outcome Store::save(const model::KernelFacts &facts, const policy::Values &values) const {
    return saveValues(nameOf(facts), values);
}

model::Defaults Store::loadDefaults() const {
    return {loadValues(privilegedName), loadValues(othersName)};
}

Outcome Store::saveDefaults(const model::Defaults &defaults) const {
    if (Outcome saved = saveValues(privilegedName, defaults.privileged); !saved)
        return saved;
    return saveValues(othersName, defaults.others);
}

std::optional<std::vector<policy::Rule>> Store::loadRules(const policy::Accounts &accounts) const {
    const std::string kept = directory_ + rulesName;
    if (directory_.empty() || ::access(kept.c_str(), F_OK) < 0)
        return std::nullopt;
    policy::RuleSet set = policy::readRules({kept}, accounts);
    for (const policy::RuleError &error : set.errors)
        log::warning("the rules that were in force are forgotten: ", error.text());
    if (!set.errors.empty())
        return std::nullopt;
    return std::move(set.rules);
}

Outcome Store::saveRules(const std::vector<policy::Rule> &rules) const {
    if (directory_.empty())
        return fusewb::done();
    const std::string kept = directory_ + rulesName;
    const std::string fresh = kept + ".new";
    std::error_code error;
    std::filesystem::remove_all(fresh, error);
    if (!std::filesystem::create_directories(fresh, error))
        return Failure{"cannot make " + fresh + ": " + error.message(), error.value()};
    for (const policy::Rule &rule : rules)
        if (Outcome written = writeFile(fresh + "/" + rule.name, policy::formatRule(rule));
            !written)
            return written;
    // Those that were kept before are there until these are.
    if (renameat2(AT_FDCWD, fresh.c_str(), AT_FDCWD, kept.c_str(), RENAME_EXCHANGE) < 0 &&
        (errno != ENOENT || rename(fresh.c_str(), kept.c_str()) < 0))
        return failure(kept);
    std::filesystem::remove_all(fresh, error);
    return fusewb::done();
}

void Store::prune(const std::vector<model::KernelFacts> &alive) const {
    if (directory_.empty())
        return;
    std::set<std::string> names{privilegedName, othersName};
    for (const model::KernelFacts &facts : alive)
        names.insert(nameOf(facts));
    std::error_code error;
    for (std::filesystem::directory_iterator entries(directory_ + "/set", error);
         !error && entries != std::filesystem::directory_iterator(); entries.increment(error))
        if (!names.contains(entries->path().filename())) {
            std::error_code ignored;
            std::filesystem::remove(entries->path(), ignored);
        }
}

} // namespace fusewb::core
