// SPDX-License-Identifier: GPL-2.0-only
// What is missing on this machine, and the command that mends it.
#include "fusewbctl/commands.h"
#include "fusewbctl/json.h"
#include "fusewbctl/table.h"
#include "policy/rule_set.h"

#include <filesystem>
#include <fstream>
#include <iostream>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

namespace fusewb::ctl {

namespace {

struct Finding {
    std::string check;
    bool good;
    std::string detail;
    std::string remedy; // a command, where one helps
};

std::string release() {
    utsname name{};
    return uname(&name) == 0 ? name.release : "unknown";
}

std::string firstLine(const std::string &path) {
    std::ifstream file(path);
    std::string line;
    std::getline(file, line);
    return line;
}

// Where a module for the running kernel may be: where DKMS puts it, or the kernel's own packages.
bool moduleInstalled() {
    std::error_code error;
    const std::filesystem::path modules = "/lib/modules/" + release();
    for (std::filesystem::recursive_directory_iterator entry(modules, error), end;
         !error && entry != end; entry.increment(error))
        if (entry->path().filename().string().starts_with("fusewb.ko"))
            return true;
    return false;
}

Finding checkModule() {
    if (std::filesystem::exists("/sys/module/fusewb"))
        return {"kernel module", true, "loaded, version " + firstLine("/sys/module/fusewb/version"),
                ""};
    if (moduleInstalled())
        return {"kernel module", false, "installed, but not loaded", "modprobe fusewb"};
    if (!std::filesystem::exists("/lib/modules/" + release() + "/build"))
        return {"kernel module", false,
                "not built: the headers of the running kernel are not installed",
                "apt install linux-headers-" + release()};
    return {"kernel module", false, "not built for the running kernel " + release(),
            "dkms autoinstall -k " + release()};
}

Finding checkDevice() {
    struct stat status {};
    if (stat("/dev/fusewb", &status) < 0)
        return {"device", false, "/dev/fusewb is not there", "modprobe fusewb"};
    if ((status.st_mode & 0777) != 0666)
        return {"device", false, "/dev/fusewb is not open to every user",
                "udevadm trigger --name-match=fusewb"};
    return {"device", true, "/dev/fusewb", ""};
}

Finding checkHelper() {
    for (const char *path : {"/usr/sbin/mount.fusewb", "/sbin/mount.fusewb"})
        if (access(path, X_OK) == 0)
            return {"mount helper", true, path, ""};
    return {"mount helper", false, "mount.fusewb is not where mount(8) looks for it",
            "apt install --reinstall fusewb"};
}

Finding checkMounter() {
    if (access("/run/fusewb-mounter.socket", F_OK) == 0)
        return {"mounts for users", true, "fusewb-mounter.socket listens", ""};
    return {"mounts for users", false, "fusewb-mounter.socket does not listen",
            "systemctl start fusewb-mounter.socket"};
}

Finding checkRules() {
    struct NoAccounts final : policy::Accounts {
        std::optional<uid_t> user(const std::string &) const override { return std::nullopt; }
        std::optional<gid_t> group(const std::string &) const override { return std::nullopt; }
    };
    const policy::RuleSet set = policy::readRules(policy::ruleDirectories, NoAccounts());
    if (set.errors.empty())
        return {"rules", true, std::to_string(set.rules.size()) + " without an error", ""};
    return {"rules", false, set.errors.front().text(), "fusewbctl policy check"};
}

// What unmounts them, as a shell takes it: whoever mounts chooses the names. Empty if they are
// none.
std::string unmounting(const std::vector<std::string> &points) {
    std::string command;
    for (const std::string &point : points) {
        command += command.empty() ? "umount '" : " '";
        for (const char character : printable(point))
            command += character == '\'' ? std::string("'\\''") : std::string(1, character);
        command += "'";
    }
    return command;
}

std::vector<Finding> checkDaemon() {
    try {
        Bus bus;
        const Connection manager{"", bus.manager()};
        std::vector<Finding> findings{
            {"daemon", true, "running, version " + manager.text("Version"), ""}};
        std::vector<std::string> mounted;
        for (const Connection &connection : bus.connections()) {
            const auto points = connection.get<std::vector<std::string>>("MountPoints");
            mounted.insert(mounted.end(), points.begin(), points.end());
            if (connection.text("State") == "aborted")
                findings.push_back(
                    {"connection @" + std::to_string(connection.id()), false,
                     "aborted (" + connection.text("AbortReason") + ") and still mounted",
                     unmounting(points)});
        }
        const std::string module = manager.text("ModuleVersion");
        if (!module.empty() && module != manager.text("Version"))
            findings.push_back(
                {"versions", false,
                 "the module is " + module + ", the daemon " + manager.text("Version"),
                 (mounted.empty() ? "" : unmounting(mounted) + " && ") +
                     "modprobe -r fusewb && modprobe fusewb"});
        return findings;
    } catch (const Problem &problem) {
        return {{"daemon", false, problem.what, "systemctl restart fusewbd"}};
    }
}

} // namespace

Exit doctor(Style style) {
    std::vector<Finding> findings{checkModule(), checkDevice(), checkHelper(), checkMounter(),
                                  checkRules()};
    for (Finding &finding : checkDaemon())
        findings.push_back(std::move(finding));
    bool good = true;
    Json all = Json::array();
    for (const Finding &finding : findings) {
        good = good && finding.good;
        all.push_back(Json{{"check", finding.check},
                           {"good", finding.good},
                           {"detail", finding.detail},
                           {"remedy", finding.remedy}});
        if (style == Style::Json)
            continue;
        std::cout << (finding.good ? coloured(Colour::Green, "good")
                                   : coloured(Colour::Red, "BAD "))
                  << "  " << finding.check << ": " << finding.detail << "\n";
        if (!finding.remedy.empty())
            std::cout << "      try: " << coloured(Colour::Bold, finding.remedy) << "\n";
    }
    if (style == Style::Json)
        std::cout << dump(all) << "\n";
    return good ? Exit::Success : Exit::Findings;
}

} // namespace fusewb::ctl
