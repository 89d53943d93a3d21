// SPDX-License-Identifier: GPL-2.0-only
// What fusewbd tells the bus while a file system lives: its signals, as "busctl monitor" shows them
// to anybody, against what the reference says.
#include "support/files.h"
#include "support/guest_test.h"
#include "support/passthrough.h"
#include "support/task.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <regex>
#include <sstream>
#include <unistd.h>

namespace {

using namespace fusewb::test;

struct Signal {
    std::string member;
    std::string path;
    std::string arguments; // as JSON
};

// The text behind "key":, up to the end of the string or, without quotes, of the message.
std::string member_of(const std::string &line, const std::string &key) {
    const std::string start = "\"" + key + "\":";
    const std::size_t at = line.find(start);
    if (at == std::string::npos)
        return "";
    const std::size_t begin = at + start.size();
    return line[begin] == '"' ? line.substr(begin + 1, line.find('"', begin + 1) - begin - 1)
                              : line.substr(begin);
}

// busctl(1), from the first message that it can have seen.
class Monitor {
public:
    Monitor()
        : task_("busctl monitor", [this] {
              const std::string command =
                  "exec busctl --json=short --match=\"type='signal',path_namespace='/org/fusewb'\" "
                  "monitor >" +
                  heard_.string() + " 2>" + said_.string();
              execl("/bin/sh", "sh", "-c", command.c_str(), static_cast<char *>(nullptr));
              return 127;
          }) {
        // It does not say in every release that it listens.
        EXPECT_TRUE(wait_until(60s, [this] {
            std::system("busctl emit /org/fusewb/probe org.fusewb.Probe Heard");
            return std::filesystem::exists(heard_) &&
                   read_file(heard_).find("\"Heard\"") != std::string::npos;
        })) << read_file(said_);
    }

    std::vector<Signal> signals() const {
        std::vector<Signal> found;
        std::istringstream lines(read_file(heard_));
        for (std::string line; std::getline(lines, line);)
            if (!member_of(line, "member").empty() && line.back() == '}' &&
                member_of(line, "member") != "Heard")
                found.push_back({member_of(line, "member"), member_of(line, "path"),
                                 member_of(line.substr(line.find("\"payload\":")), "data")});
        return found;
    }

    // Whether there is or comes to be such a signal, with this in its arguments.
    bool hears(const std::string &member, const std::string &part) const {
        return wait_until(30s, [&] {
            for (const Signal &signal : signals())
                if (signal.member == member && signal.arguments.find(part) != std::string::npos)
                    return true;
            return false;
        });
    }

    std::string text() const { return read_file(heard_); }

private:
    const std::filesystem::path heard_ = scratch() / "heard";
    const std::filesystem::path said_ = scratch() / "said";
    const Task task_;
};

const std::regex added(R"re(^\["(/org/fusewb/connection/[0-9]+)",\{"org\.fusewb1\.Connection":)re");
// unique, operation, class, age, process, action
const std::regex expired(R"re(\[([0-9]+),"LOOKUP","metadata",([0-9]+),([0-9]+),"report"\]\}\})re");

constexpr const char *unmounted = R"({"MountPoints":{"type":"as","data":[]}})";

int ctl(const std::string &words) { return std::system(("fusewbctl " + words).c_str()); }

// The members in their order. How many changes of properties come in a row is not promised, nor
// that the end of the mount point is noticed before that of the connection.
std::vector<std::string> order(const std::vector<Signal> &signals) {
    std::vector<std::string> members;
    for (const Signal &signal : signals) {
        const bool change = signal.member == "PropertiesChanged";
        if (change && signal.arguments.find(unmounted) != std::string::npos)
            continue;
        if (!change || members.empty() || members.back() != signal.member)
            members.push_back(signal.member);
    }
    return members;
}

GUEST_TEST(ControlPlane, MonitorSeesAMountAChangeAnExpiryAndTheEnd) {
    needs_daemon();
    const Monitor monitor;
    std::string place;
    pid_t asker = 0;
    {
        Passthrough server;
        place = server.mnt().parent_path().string();
        ASSERT_TRUE(monitor.hears("PropertiesChanged", R"("State":{"type":"s","data":"ready"})"))
            << monitor.text();
        ASSERT_TRUE(monitor.hears("PropertiesChanged",
                                  R"("MountPoints":{"type":"as","data":[")" + place + "\"]}"))
            << monitor.text();
        ASSERT_EQ(ctl("set " + place + " MetadataDeadlineSec=1500ms DeadlineAction=report"), 0);
        ASSERT_TRUE(monitor.hears("PropertiesChanged",
                                  R"("MetadataDeadlineUSec":{"type":"t","data":1500000})"))
            << monitor.text();
        ASSERT_TRUE(monitor.hears("PropertiesChanged", R"("MetadataDeadlineUSec":"set")"))
            << monitor.text();
        server.stop();
        const Task asks("stat", [&] {
            std::error_code gone;
            return std::filesystem::exists(server.mnt("none"), gone) ? 1 : 0;
        });
        asker = asks.pid();
        ASSERT_TRUE(monitor.hears("DeadlineExpired", "\"LOOKUP\"")) << monitor.text();
        ASSERT_EQ(ctl("abort " + place), 0);
        ASSERT_TRUE(monitor.hears("Aborted", "requested")) << monitor.text();
    }
    ASSERT_TRUE(monitor.hears("ConnectionRemoved", "")) << monitor.text();

    const std::vector<Signal> signals = monitor.signals();
    ASSERT_FALSE(signals.empty());
    EXPECT_EQ(order(signals),
              (std::vector<std::string>{"InterfacesAdded", "ConnectionAdded", "PropertiesChanged",
                                        "DeadlineExpired", "PropertiesChanged", "Aborted",
                                        "InterfacesRemoved", "ConnectionRemoved"}))
        << monitor.text();
    std::string connection;
    for (const Signal &signal : signals) {
        std::smatch found;
        if (signal.member == "InterfacesAdded") {
            ASSERT_TRUE(std::regex_search(signal.arguments, found, added)) << signal.arguments;
            connection = found[1];
        } else if (signal.member == "ConnectionAdded" || signal.member == "ConnectionRemoved") {
            EXPECT_EQ(signal.arguments, "[\"" + connection + "\"]}}");
        } else if (signal.member == "InterfacesRemoved") {
            EXPECT_EQ(signal.arguments, "[\"" + connection + "\",[\"org.fusewb1.Connection\"]]}}");
        } else if (signal.member == "DeadlineExpired") {
            ASSERT_TRUE(std::regex_match(signal.arguments, found, expired)) << signal.arguments;
            EXPECT_GT(std::stoull(found[1]), 0U);
            EXPECT_GE(std::stoull(found[2]), 1'500'000U);
            EXPECT_LT(std::stoull(found[2]), 60'000'000U);
            EXPECT_EQ(std::stoi(found[3]), asker);
        } else if (signal.member == "Aborted") {
            EXPECT_EQ(signal.arguments, "[\"requested\"]}}");
        } else {
            // All with their values, none to be asked for.
            EXPECT_TRUE(signal.arguments.starts_with("[\"org.fusewb1.Connection\",{\"") &&
                        signal.arguments.ends_with("},[]]}}"))
                << signal.arguments;
        }
        const bool of_manager =
            signal.member == "InterfacesAdded" || signal.member == "InterfacesRemoved" ||
            signal.member == "ConnectionAdded" || signal.member == "ConnectionRemoved";
        EXPECT_EQ(signal.path, of_manager ? "/org/fusewb" : connection) << signal.member;
    }
}

} // namespace
