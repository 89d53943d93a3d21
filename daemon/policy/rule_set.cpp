// SPDX-License-Identifier: GPL-2.0-only
#include "policy/rule_set.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <map>
#include <sys/stat.h>
#include <unistd.h>

namespace fusewb::policy {

namespace {

constexpr std::size_t maxFile = 64 * 1024;

// The text of a regular file or of /dev/null.
Result<std::string> readText(const std::string &path) {
    // A FIFO must not keep the daemon.
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return Failure{std::string("cannot be opened: ") + std::strerror(errno), errno};
    struct stat status {};
    std::string text;
    std::string fault;
    if (fstat(fd, &status) < 0 || (!S_ISREG(status.st_mode) && !S_ISCHR(status.st_mode)))
        fault = "is not a file";
    while (fault.empty()) {
        char buffer[4096];
        const ssize_t got = read(fd, buffer, sizeof buffer);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            fault = std::string("cannot be read: ") + std::strerror(errno);
        if (got <= 0)
            break;
        text.append(buffer, static_cast<std::size_t>(got));
        if (text.size() > maxFile)
            fault = "is larger than 64 KiB";
    }
    close(fd);
    if (!fault.empty())
        return Failure{"the file " + fault, EINVAL};
    return text;
}

void take(RuleSet &set, const std::string &name, const std::string &path, const Accounts &accounts,
          bool emptyIsGap) {
    const auto text = readText(path);
    if (!text) {
        set.errors.push_back({path, 0, text.failure().what});
        return;
    }
    if (emptyIsGap && text->empty())
        return;
    auto parsed = parseRule(name, path, *text, accounts);
    if (auto *rule = std::get_if<Rule>(&parsed))
        set.rules.push_back(std::move(*rule));
    else
        for (RuleError &error : std::get<std::vector<RuleError>>(parsed))
            set.errors.push_back(std::move(error));
}

} // namespace

RuleSet readRules(const std::vector<std::string> &directories, const Accounts &accounts) {
    RuleSet set;
    std::map<std::string, std::string> files; // name to path
    for (const std::string &directory : directories) {
        std::error_code error;
        std::filesystem::directory_iterator entries(directory, error);
        for (; !error && entries != std::filesystem::directory_iterator();
             entries.increment(error)) {
            const auto &path = entries->path();
            if (path.extension() == ".conf" && path.filename().native().front() != '.')
                files.try_emplace(path.filename(), path);
        }
        if (error && error != std::errc::no_such_file_or_directory)
            set.errors.push_back({directory, 0, "cannot be read: " + error.message()});
    }
    for (const auto &[name, path] : files)
        take(set, name, path, accounts, true);
    return set;
}

RuleSet readRuleFile(const std::string &path, const Accounts &accounts) {
    RuleSet set;
    take(set, std::filesystem::path(path).filename(), path, accounts, false);
    return set;
}

} // namespace fusewb::policy
