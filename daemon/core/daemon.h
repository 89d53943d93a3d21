// SPDX-License-Identifier: GPL-2.0-only
// The parts joined: news from the kernel and from the mount table go into the registry, which the
// bus shows. Everything runs in one loop and one thread.
#pragma once

#include "base/event.h"
#include "base/result.h"
#include "bus/service.h"
#include "kernel/link.h"
#include "model/registry.h"
#include "proc/mounts.h"

#include <map>
#include <memory>
#include <string>

namespace fusewb::core {

class Daemon final : private kernel::LinkObserver, private model::Surroundings {
public:
    struct Settings {
        std::string version;
        /// The mount table to show: that of process 1, since the daemon's own mount namespace is
        /// a restricted one.
        std::string mountinfo = "/proc/1/mountinfo";
    };

    /// The loop must outlive the daemon.
    Daemon(sd_event *loop, std::unique_ptr<kernel::Link> link, Settings settings);
    ~Daemon() override;

    Daemon(const Daemon &) = delete;
    Daemon &operator=(const Daemon &) = delete;

    /// Takes in how things are, shows them on the bus and takes the name. From then on the loop
    /// does the rest, and ends with a failure when the kernel or the bus cannot be reached.
    Outcome start();

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

    Outcome watchMounts();
    Outcome watchLink();
    void readMounts();
    void refresh(model::ConnectionId id);
    std::uint64_t turn() const;

    static int onMounts(sd_event_source *source, int fd, std::uint32_t events, void *data) noexcept;
    static int onLink(sd_event_source *source, int fd, std::uint32_t events, void *data) noexcept;
    static int fail(sd_event_source *source, const std::string &what) noexcept;

    void synchronised(const model::ModuleInfo &module,
                      const std::vector<model::KernelFacts> &all) override;
    void moduleGone() override;
    void connectionSeen(const model::KernelFacts &facts) override;
    void connectionRemoved(model::ConnectionId id) override;
    model::Server serverOf(pid_t pid) override;
    std::vector<std::string> mountPointsOf(dev_t device) override;

    sd_event *const loop_;
    const Settings settings_;
    proc::MountPoints mounts_;
    model::Registry registry_;
    // In which turn of the loop the kernel last spoke of a connection. Within one turn, which
    // answers one message, it is not asked again: the counters of one reply are of one moment.
    std::map<model::ConnectionId, std::uint64_t> fresh_;
    std::unique_ptr<kernel::Link> link_;
    Descriptor mountinfo_;
    EventSource mountSource_;
    EventSource linkSource_;
    std::unique_ptr<bus::Service> service_;
};

} // namespace fusewb::core
