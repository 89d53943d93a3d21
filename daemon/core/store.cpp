// SPDX-License-Identifier: GPL-2.0-only
// The files are rules without [Match], so that a person can read them.
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

} // namespace

std::string Store::pathOf(const model::KernelFacts &facts) const {
    return directory_ + "/" + nameOf(facts);
}

policy::Values Store::load(const model::KernelFacts &facts) const {
    if (directory_.empty() || ::access(pathOf(facts).c_str(), F_OK) < 0)
        return {};
    const policy::RuleSet set = policy::readRuleFile(pathOf(facts), NoAccounts());
    for (const policy::RuleError &error : set.errors)
        log::warning("what was set by hand is forgotten: ", error.text());
    return set.errors.empty() ? set.rules.front().values : policy::Values();
}

Outcome Store::save(const model::KernelFacts &facts, const policy::Values &values) const {
    if (directory_.empty())
        return fusewb::done();
    const std::string path = pathOf(facts);
    if (values.empty()) {
        if (unlink(path.c_str()) < 0 && errno != ENOENT)
            return failure(path);
        return fusewb::done();
    }
    std::string text = "# Set by hand; kept while the connection lives.\n[Policy]\n";
    for (const policy::Description &description : policy::settings())
        if (const auto value = values.get(description.setting))
            text += std::string(description.key) + "=" + policy::formatValue(description, *value) +
                    "\n";

    std::error_code error;
    std::filesystem::create_directories(directory_, error);
    const std::string fresh = path + ".new";
    const int fd = open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return failure(fresh);
    const bool written = writeAll(fd, text);
    if (close(fd) < 0 || !written || rename(fresh.c_str(), path.c_str()) < 0)
        return failure(path);
    return fusewb::done();
}

void Store::prune(const std::vector<model::KernelFacts> &alive) const {
    if (directory_.empty())
        return;
    std::set<std::string> names;
    for (const model::KernelFacts &facts : alive)
        names.insert(nameOf(facts));
    std::error_code error;
    for (std::filesystem::directory_iterator entries(directory_, error);
         !error && entries != std::filesystem::directory_iterator(); entries.increment(error))
        if (!names.contains(entries->path().filename())) {
            std::error_code ignored;
            std::filesystem::remove(entries->path(), ignored);
        }
}

} // namespace fusewb::core
