// SPDX-License-Identifier: GPL-2.0-only
// The parts joined: news from the kernel and from the mount table go into the registry, which the
// bus shows. Everything runs in one loop and one thread.
#pragma once

#include "base/event.h"
#include "base/result.h"
#include "bus/service.h"
#include "core/governor.h"
#include "core/holds.h"
#include "core/mounting.h"
#include "kernel/link.h"
#include "model/registry.h"
#include "proc/mounts.h"

#include <map>
#include <memory>
#include <string>

namespace fusewb::core {

class Daemon final : private kernel::LinkObserver,
                     private model::Surroundings,
                     private bus::Control {
public:
    struct Settings {
        std::string version;
        /// The mount table to show: that of process 1, since the daemon's own mount namespace is
        /// a restricted one.
        std::string mountinfo = "/proc/1/mountinfo";
        /// Where the paths of executables are looked up: as process 1 sees them.
        std::string root = "/proc/1/root";
        std::vector<std::string> ruleDirectories = policy::ruleDirectories;
        /// What was set by hand and the rules in force are kept here over a restart; empty: they
        /// are not.
        std::string stateDirectory = "/run/fusewb";
        /// Where fusewb-mounter is asked.
        std::string mounterSocket = mounter::socketPath;
        /// How many file systems a user other than root may have at the same time.
        std::size_t mountsPerUser = 100;
    };

    /// The loop and the accounts must outlive the daemon.
    Daemon(sd_event *loop, std::unique_ptr<kernel::Link> link, const policy::Accounts &accounts,
           Settings settings);
    ~Daemon() override;

    Daemon(const Daemon &) = delete;
    Daemon &operator=(const Daemon &) = delete;

    /// Takes in how things are, shows them on the bus and takes the name. From then on the loop
    /// does the rest, and ends with a failure when the kernel cannot be reached. A bus that goes
    /// away is waited for.
    Outcome start();

    /// Reads the rules anew; with an error in one of them those in force stay.
    Outcome reload() override;

private:
    class Descriptor {
    public:
        Descriptor() = default;
        Descriptor(const Descriptor &) = delete;
        Descriptor &operator=(const Descriptor &) = delete;
        ~Descriptor();
        void reset(int fd);
        int get() const { return fd_; }

    private:
        int fd_ = -1;
    };

    Outcome openBus();
    void busLost();
    void tryBus();
    Outcome watchMounts();
    Outcome watchLink();
    void readMounts();
    std::uint64_t turn() const;

    static int onBusTimer(sd_event_source *source, std::uint64_t usec, void *data) noexcept;
    static int onMounts(sd_event_source *source, int fd, std::uint32_t events, void *data) noexcept;
    static int onLink(sd_event_source *source, int fd, std::uint32_t events, void *data) noexcept;
    static int fail(sd_event_source *source, const std::string &what) noexcept;

    void synchronised(const model::ModuleInfo &module, const model::Defaults &defaults,
                      const std::vector<model::KernelFacts> &all) override;
    void moduleGone() override;
    void connectionSeen(const model::KernelFacts &facts) override;
    void connectionRemoved(model::ConnectionId id) override;
    void deadlineExpired(const model::Expiry &expiry) override;
    void defaultsChanged(const model::Defaults &changes) override;
    model::Server serverOf(const model::KernelFacts &facts) override;
    std::vector<std::string> mountPointsOf(dev_t device) override;

    void refresh(model::ConnectionId id) override;
    Outcome setPolicy(model::ConnectionId id, const policy::Values &values) override;
    Outcome resetPolicy(model::ConnectionId id,
                        const std::vector<policy::Setting> &settings) override;
    Result<int> holdPolicy(model::ConnectionId id, const policy::Values &values,
                           const std::string &reason) override;
    Outcome abort(model::ConnectionId id) override;
    Result<std::vector<model::Request>> requests(model::ConnectionId id,
                                                 std::uint64_t minimumAgeUSec) override;
    std::span<const policy::Rule> rules() const override { return governor_.rules(); }
    Result<Explanation> explain(model::ConnectionId id) override;
    Outcome roomFor(mounter::Verb verb, uid_t user) const override;
    void mount(mounter::Request request, std::function<void(Outcome)> answer) override;
    void beforeSleep() override;
    const model::Defaults &defaults() const override { return governor_.defaults(); }
    Outcome setDefaults(const model::Defaults &changes) override;
    void holdEnded(std::uint64_t key);

    sd_event *const loop_;
    const Settings settings_;
    proc::MountPoints mounts_;
    model::Registry registry_;
    // In which turn of the loop the kernel last spoke of a connection. Within one turn, which
    // answers one message, it is not asked again: the counters of one reply are of one moment.
    std::map<model::ConnectionId, std::uint64_t> fresh_;
    std::unique_ptr<kernel::Link> link_;
    Governor governor_;
    Holds holds_;
    Mounting mounting_;
    std::map<std::uint64_t, model::ConnectionId> held_; // which connection a hold is for
    Descriptor mountinfo_;
    EventSource mountSource_;
    EventSource linkSource_;
    std::unique_ptr<bus::Service> service_; // null while the bus is away
    EventSource busTimer_;
    std::uint64_t busPauseUSec_ = 0; // before the next attempt
};

} // namespace fusewb::core
