// SPDX-License-Identifier: GPL-2.0-only
// A bus of the test's own, a client on it that speaks sd-bus (so that what goes over the wire is
// tested, not one version of sdbus-c++ against itself), and a kernel that does as it is told.
#pragma once

#include "base/event.h"
#include "kernel/link.h"

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <sys/types.h>
#include <systemd/sd-bus.h>
#include <unistd.h>
#include <vector>

namespace fusewb::test {

/// A dbus-daemon in a temporary directory. While it lives, DBUS_SYSTEM_BUS_ADDRESS names it.
class PrivateBus {
public:
    PrivateBus();
    ~PrivateBus();
    PrivateBus(const PrivateBus &) = delete;
    PrivateBus &operator=(const PrivateBus &) = delete;

    const std::string &address() const { return address_; }

    /// Ends it, as a bus that is restarted does.
    void stop();

    /// Starts it again, at the same address.
    void start();

private:
    std::string directory_;
    std::string address_;
    pid_t daemon_ = -1;
};

/// Tells the daemon what the test wants it to hear.
class FakeLink final : public kernel::Link {
public:
    /// What the kernel has; shared with the test, which outlives the link.
    struct Kernel {
        std::optional<model::ModuleInfo> module;
        std::map<model::ConnectionId, model::KernelFacts> connections;
        model::Defaults defaults;
        std::vector<model::Request> requests;
        int refuse = 0;  // the errno that the next changes are refused with
        int changes = 0; // how many were not refused
        int fetches = 0;
        int descriptor = -1;
        bool broken = false; // process() fails
        std::deque<std::function<void(kernel::LinkObserver &)>> news;

        Kernel();
        ~Kernel();
        Kernel(const Kernel &) = delete;
        Kernel &operator=(const Kernel &) = delete;

        void say(std::function<void(kernel::LinkObserver &)> what);
        void add(const model::KernelFacts &facts);
        void remove(model::ConnectionId id);
        void expire(const model::Expiry &expiry);
        void load(const model::ModuleInfo &info);
        void unload();
        void fail();

    private:
        void wake() const;
    };

    explicit FakeLink(Kernel &kernel) : kernel_(kernel) {}

    Outcome start(kernel::LinkObserver &observer) override;
    int descriptor() const override { return kernel_.descriptor; }
    Outcome process() override;
    Result<model::KernelFacts> fetch(model::ConnectionId id) override;
    Result<std::vector<model::Request>> requests(std::optional<model::ConnectionId> id,
                                                 std::uint64_t minimumAgeUSec) override;
    Outcome set(model::ConnectionId id, const policy::Values &values) override;
    Outcome abort(model::ConnectionId id) override;
    Outcome setDefaults(const model::Defaults &changes) override;

private:
    Outcome change(model::ConnectionId id, const std::function<void(model::KernelFacts &)> &how);

    Kernel &kernel_;
    kernel::LinkObserver *observer_ = nullptr;
};

/// polkit on the bus of a test, in a process of its own.
class FakePolkit {
public:
    /// Answers by the action: 'y'es, 'n'o, or 'c'hallenge, which is yes where it may ask; 's'ilent,
    /// not at all. What it is not told of it refuses.
    FakePolkit(const std::string &address, std::map<std::string, char> answers);
    ~FakePolkit();
    FakePolkit(const FakePolkit &) = delete;
    FakePolkit &operator=(const FakePolkit &) = delete;

private:
    pid_t process_ = -1;
};

/// What came back: the body as text or the name of the error and what it says.
struct Reply {
    std::string body;
    std::string error;
    std::string message;
    int descriptor = -1; // one that the body has; the test's to close
};

/// A client on the loop of the test.
class Client {
public:
    /// The bus sees the user as its owner, which takes root if it is another.
    Client(sd_event *loop, const std::string &address, uid_t user = geteuid());

    /// Calls a method of org.fusewb and runs the loop until the reply is there. Arguments are
    /// strings, or a number where signature is "u".
    Reply call(const std::string &path, const std::string &interface, const std::string &method,
               const std::vector<std::string> &strings = {});
    Reply callWithNumber(const std::string &path, const std::string &interface,
                         const std::string &method, std::uint32_t number);
    /// A call whose arguments the test appends; interactive: a person may be asked.
    Reply callWith(const std::string &path, const std::string &interface, const std::string &method,
                   const std::function<void(sd_bus_message *)> &append, bool interactive = false);
    /// A call whose answer nobody waits for.
    void post(const std::string &path, const std::string &interface, const std::string &method);
    /// Properties.Set with a value of one basic type.
    Reply set(const std::string &path, const std::string &interface, const std::string &property,
              char type, const void *value);
    Reply get(const std::string &path, const std::string &interface, const std::string &property);

    /// Takes the name of another service and says one of its signals, with a truth.
    void say(const std::string &service, const std::string &path, const std::string &interface,
             const std::string &signal, bool truth);

    /// Runs the loop until a signal with that text ("Member path body") came, since the last
    /// clear(). False if it does not come.
    bool heard(const std::string &text);
    const std::vector<std::string> &signals() const { return signals_; }
    void clear() { signals_.clear(); }

private:
    struct Unref {
        void operator()(sd_bus *bus) const { sd_bus_flush_close_unref(bus); }
        void operator()(sd_bus_message *message) const { sd_bus_message_unref(message); }
    };
    using Message = std::unique_ptr<sd_bus_message, Unref>;

    Message request(const std::string &path, const std::string &interface,
                    const std::string &method);
    Reply send(Message request);
    bool runUntil(const std::function<bool()> &condition);
    static int onSignal(sd_bus_message *message, void *data, sd_bus_error *error);
    static int onReply(sd_bus_message *message, void *data, sd_bus_error *error);

    sd_event *loop_;
    std::unique_ptr<sd_bus, Unref> bus_;
    std::vector<std::string> signals_;
};

} // namespace fusewb::test
