// SPDX-License-Identifier: GPL-2.0-only
// fusewbd as its clients see it.
#pragma once

#include "bus/sdbus.h"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace fusewb::ctl {

/// What a command ends with; fusewbctl(1) lists them.
enum class Exit {
    Success = 0,
    Failure = 1,
    Usage = 2,
    NoDaemon = 3,
    NotFound = 4,
    Denied = 5,
    Findings = 6, // doctor or check found something
};

/// Ends a command; main() prints it.
struct Problem {
    Exit status;
    std::string what;
};

using Properties = std::map<std::string, sdbus::Variant>;

/// A connection with its properties, as they were at one moment.
struct Connection {
    std::string path;
    Properties properties;

    /// The number at the end of the path.
    std::uint64_t id() const;

    /// The property, or a T of its own if an older daemon does not have it.
    template <typename T> T get(const std::string &name) const {
        const auto found = properties.find(name);
        return found != properties.end() && found->second.containsValueOfType<T>()
                   ? found->second.get<T>()
                   : T{};
    }
    std::string text(const std::string &name) const { return get<std::string>(name); }
    std::uint64_t number(const std::string &name) const { return get<std::uint64_t>(name); }
};

/// A request without an answer, as ListRequests() tells of it.
struct Request {
    std::uint64_t unique;
    std::string operation;
    std::string operations; // the class
    std::string state;
    std::uint64_t ageUSec;
    std::uint64_t nodeId;
    std::uint32_t pid;
    std::uint32_t uid;
    std::uint64_t deadlineUSec;
    std::uint32_t bytes;
};

struct RuleInfo {
    std::string name;
    std::string path;
    std::vector<std::pair<std::string, std::string>> conditions;
    std::vector<std::pair<std::string, std::string>> values;
};

struct Explanation {
    struct Verdict {
        std::string rule;
        std::string path;
        bool decides;
        std::string reason;
    };
    struct Value {
        std::string key;
        std::string value;
        std::string origin;
        std::string detail;
    };
    std::vector<Verdict> rules;
    std::vector<Value> values;
};

/// Every call throws a Problem if it fails.
class Bus {
public:
    Bus();
    ~Bus();
    Bus(const Bus &) = delete;
    Bus &operator=(const Bus &) = delete;

    Properties manager();

    /// All of them, by their number.
    std::vector<Connection> connections();

    /// The one that is meant by an absolute or relative path (where it is mounted), a number (a
    /// process that serves it) or "@N" (its own number).
    Connection find(const std::string &what);

    std::vector<Request> requests(const std::string &connection, std::uint64_t minimumAgeUSec);
    std::vector<RuleInfo> rules();
    Explanation explain(const std::string &connection);

    void set(const std::string &connection, const Properties &values);
    void reset(const std::string &connection, const std::vector<std::string> &properties);
    /// In force until the descriptor is closed.
    sdbus::UnixFd hold(const std::string &connection, const Properties &values,
                       const std::string &reason);
    void abort(const std::string &connection);
    void reload();

    /// A signal of the daemon: where, which, and its arguments by their names.
    struct Event {
        std::string path;
        std::string name;
        Properties arguments;
    };
    /// Calls back for every signal; never returns.
    void listen(const std::function<void(const Event &)> &heard);

private:
    std::string path(const std::string &what);
    sdbus::MethodReply call(const std::string &object, const char *interface, const char *method,
                            const std::function<void(sdbus::MethodCall &)> &arguments = {});

    std::unique_ptr<sdbus::IConnection> bus_;
    std::map<std::string, std::unique_ptr<sdbus::IProxy>> proxies_;
};

/// While it lives a program that asks for passwords on this terminal runs, where there is one.
class PasswordAgent {
public:
    PasswordAgent();
    ~PasswordAgent();
    PasswordAgent(const PasswordAgent &) = delete;
    PasswordAgent &operator=(const PasswordAgent &) = delete;

private:
    int process_ = -1;
};

} // namespace fusewb::ctl
