// SPDX-License-Identifier: GPL-2.0-only
#include "mount/user_mount.h"

#include <systemd/sd-bus.h>

#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <functional>
#include <iostream>
#include <memory>
#include <string_view>

namespace fusewb {
namespace {

// Longer than the daemon gives a person for a password.
constexpr std::uint64_t patience_usec = 360'000'000;

struct Unref {
    void operator()(sd_bus *bus) const { sd_bus_flush_close_unref(bus); }
    void operator()(sd_bus_message *message) const { sd_bus_message_unref(message); }
};

class Opened {
public:
    Opened(const char *path, int flags) : fd_(open(path, flags | O_CLOEXEC)) {}
    ~Opened() {
        if (fd_ >= 0)
            close(fd_);
    }
    Opened(const Opened &) = delete;
    Opened &operator=(const Opened &) = delete;

    int get() const { return fd_; }
    explicit operator bool() const { return fd_ >= 0; }

private:
    int fd_;
};

Failure no_bus(int error) {
    return {ExitCode::system,
            std::string("the system bus cannot be reached: ") + std::strerror(-error),
            "mount as root, with sudo for example"};
}

// Why the daemon does not do it.
Failure explain_error(const std::string &what, const sd_bus_error &error) {
    const std::string_view name = error.name ? error.name : "";
    const std::string message = error.message ? error.message : std::string(name);
    if (name == SD_BUS_ERROR_ACCESS_DENIED ||
        name == SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED)
        return {ExitCode::usage, "you are not allowed to " + what,
                "mount as root, or ask your administrator for the polkit action org.fusewb1.mount"};
    // Also where the bus is to start it and cannot.
    if (name == SD_BUS_ERROR_SERVICE_UNKNOWN || name == SD_BUS_ERROR_NAME_HAS_NO_OWNER ||
        name == "org.freedesktop.DBus.Error.Spawn.ServiceNotFound" ||
        name.find("systemd1") != name.npos)
        return {ExitCode::system, "fusewbd, which mounts for users, does not run",
                "start it: systemctl start fusewbd"};
    return {ExitCode::mount_failure, "cannot " + what + ": " + message, ""};
}

Status call(const char *method, const std::string &what,
            const std::function<int(sd_bus_message *)> &append) {
    sd_bus *opened = nullptr;
    if (const int error = sd_bus_open_system(&opened); error < 0)
        return no_bus(error);
    const std::unique_ptr<sd_bus, Unref> bus(opened);
    sd_bus_message *made = nullptr;
    int error = sd_bus_message_new_method_call(bus.get(), &made, "org.fusewb", "/org/fusewb",
                                               "org.fusewb1.Manager", method);
    const std::unique_ptr<sd_bus_message, Unref> message(made);
    if (error >= 0)
        error = sd_bus_message_set_allow_interactive_authorization(message.get(), 1);
    if (error >= 0)
        error = append(message.get());
    if (error < 0)
        return Failure{ExitCode::system, "cannot " + what + ": " + std::strerror(-error), ""};
    sd_bus_error answer = SD_BUS_ERROR_NULL;
    if (error = sd_bus_call(bus.get(), message.get(), patience_usec, &answer, nullptr); error < 0) {
        const Failure failure = explain_error(what, answer);
        sd_bus_error_free(&answer);
        return failure;
    }
    return std::monostate{};
}

Failure cannot_open(const std::string &path) {
    return {ExitCode::mount_failure, "cannot open " + path + ": " + std::strerror(errno), ""};
}

} // namespace

Result<std::string> user_options(const MountOptions &options) {
    constexpr unsigned long forced_or_default = MS_NOSUID | MS_NODEV | MS_RELATIME | MS_SILENT;
    constexpr unsigned long allowed = MS_RDONLY | MS_NOEXEC | MS_NOATIME;
    if (options.vfs_flags & ~(forced_or_default | allowed))
        return Failure{ExitCode::usage, "one of the mount options is for root only",
                       "of the VFS's own, use ro, noexec and noatime only"};
    std::string text;
    if (options.vfs_flags & MS_RDONLY)
        text += "ro,";
    if (options.vfs_flags & MS_NOEXEC)
        text += "noexec,";
    if (options.vfs_flags & MS_NOATIME)
        text += "noatime,";
    return text + options.module;
}

Status mount_for_user(const Request &request, const MountPoint &point, int device, unsigned group) {
    const Result<std::string> options = user_options(request.options);
    if (!options)
        return options.failure();
    const Opened place(point.path.c_str(), O_PATH | O_NOFOLLOW);
    if (!place)
        return cannot_open(point.path);
    const Opened name_space("/proc/self/ns/mnt", O_RDONLY);
    if (!name_space)
        return cannot_open("/proc/self/ns/mnt");
    const std::string type = request.type();
    const std::string subtype = type.substr(type.find('.') + 1);
    return call("Mount", "mount on " + point.path, [&](sd_bus_message *message) {
        return sd_bus_message_append(message, "hhhusss", device, place.get(), name_space.get(),
                                     group, request.shown_source().c_str(), subtype.c_str(),
                                     options.value().c_str());
    });
}

Status unmount_for_user(const std::string &directory, bool lazily) {
    if (!lazily) {
        // A server that is gone has nothing to be waited for.
        const Opened whole(directory.c_str(), O_RDONLY | O_NONBLOCK);
        if (whole && syncfs(whole.get()) != 0)
            std::cerr << "mount.fusewb: not all data are with the server: " << std::strerror(errno)
                      << '\n';
    }
    const Opened root(directory.c_str(), O_PATH);
    if (!root)
        return cannot_open(directory);
    const Opened name_space("/proc/self/ns/mnt", O_RDONLY);
    if (!name_space)
        return cannot_open("/proc/self/ns/mnt");
    return call("Unmount", "unmount " + directory, [&](sd_bus_message *message) {
        return sd_bus_message_append(message, "hh", root.get(), name_space.get());
    });
}

} // namespace fusewb
