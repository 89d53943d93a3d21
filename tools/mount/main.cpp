// SPDX-License-Identifier: GPL-2.0-only
// mount.fusewb: mounts a file system of type fusewb and starts an unmodified FUSE server for it.
// By the name of umount.fusewb-user it is umount(8)'s helper for users.
#include "mount/command_line.h"
#include "mount/module_state.h"
#include "mount/mount_point.h"
#include "mount/server_process.h"
#include "mount/user_mount.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <iostream>

namespace {

using namespace fusewb;

// Asks the root of the mount for its attributes, which the server answers after INIT. Runs in a
// child process; returns an errno. The path is walked as root, the question asked as the owner,
// since without allow_other the module answers nobody else.
int ask_root(const Request &request, const MountPoint &point, const Account &account) {
    NamespaceVisit visit;
    if (!visit.enter(request.name_space))
        return ECONNABORTED;
    const int root = open(point.path.c_str(), O_PATH | O_CLOEXEC);
    if (root < 0)
        return errno;
    if (!account.name.empty() &&
        (setgroups(0, nullptr) != 0 || setgid(account.group) != 0 || setuid(account.user) != 0))
        return errno;
    struct statx attributes {};
    const bool answered =
        statx(root, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &attributes) == 0;
    const int error = answered ? 0 : errno;
    _exit(error); // not through ~NamespaceVisit: this account may not go back
}

void print_command(const std::vector<std::string> &arguments) {
    std::cerr << "mount.fusewb: starting";
    for (const std::string &argument : arguments)
        std::cerr << ' ' << argument;
    std::cerr << '\n';
}

Result<MountPoint> check_mount_point(const Request &request) {
    NamespaceVisit visit;
    if (Status entered = visit.enter(request.name_space); !entered)
        return entered.failure();
    Result<MountPoint> point = find_mount_point(request.directory);
    if (!point)
        return point;
    const std::string mountinfo = "/proc/thread-self/mountinfo";
    if (Status free = check_not_mounted(request, point.value(), mountinfo); !free)
        return free.failure();
    return point;
}

Status remount(const Request &request) {
    NamespaceVisit visit;
    if (Status entered = visit.enter(request.name_space); !entered)
        return entered;
    return remount_file_system(request);
}

bool is_root() { return geteuid() == 0; }

Status make_mount(const Request &request, const MountPoint &point, int device,
                  const Account &account) {
    if (!is_root())
        return mount_for_user(request, point, device, account.group);
    NamespaceVisit visit;
    if (Status entered = visit.enter(request.name_space); !entered)
        return entered;
    return mount_file_system(request, point, device, account.user, account.group);
}

// After a failure, which is told; that this fails too adds nothing to it.
void take_mount_away(const Request &request, const MountPoint &point) {
    if (!is_root()) {
        unmount_for_user(point.path, true);
        return;
    }
    NamespaceVisit visit;
    if (visit.enter(request.name_space))
        detach_mount(point);
}

// What the daemon does not do for users, and no other right of theirs lets them do.
Status check_for_user(const Request &request) {
    for (const auto &[used, what] :
         {std::pair{request.options.remount, "remount"},
          std::pair{!request.options.setuid.empty(), "use setuid="},
          std::pair{!request.name_space.empty(), "choose a mount namespace"}})
        if (used)
            return Failure{ExitCode::usage, std::string("only root may ") + what,
                           "run mount as root, with sudo for example"};
    return std::monostate{};
}

// Mounts, and starts the server. `device` is closed here on every path, so that from then on the
// server alone keeps the connection alive.
Status mount_and_start(const Request &request, const MountPoint &point, const std::string &path,
                       const Account &account, int device, ServerProcess &server) {
    Status status = make_mount(request, point, device, account);
    if (!status) {
        close(device);
        return status;
    }
    const std::vector<std::string> arguments = server_arguments(request, device);
    if (request.verbose)
        print_command(arguments);
    status = server.start(path, arguments, device, account);
    close(device);
    if (status)
        status = server.wait_for_answer(request.server,
                                        [&] { return ask_root(request, point, account); });
    if (!status) {
        // The server first: with its descriptor closed, taking the mount away waits for nobody.
        server.end_all();
        take_mount_away(request, point);
    }
    return status;
}

Status run(const Request &request) {
    if (request.unmount)
        return unmount_for_user(request.directory, request.lazy);
    if (!is_root())
        if (Status fit = check_for_user(request); !fit)
            return fit;
    if (request.options.remount)
        return request.fake ? Status{std::monostate{}} : remount(request);
    const Result<Account> account = find_account(request.options.setuid);
    if (!account)
        return account.failure();
    const Result<std::string> path = find_server(request.server);
    if (!path)
        return path.failure();
    const Result<MountPoint> point = check_mount_point(request);
    if (!point)
        return point.failure();
    if (request.fake)
        return std::monostate{};
    const Result<int> device = open_device(account.value().user);
    if (!device)
        return device.failure();
    ServerProcess server;
    return mount_and_start(request, point.value(), path.value(), account.value(), device.value(),
                           server);
}

int report(const Failure &failure) {
    std::cerr << failure.line() << '\n';
    return static_cast<int>(failure.code);
}

} // namespace

int main(int argc, char **argv) {
    const std::vector<std::string> arguments(argv + 1, argv + argc);
    const bool umount = std::filesystem::path(argv[0]).filename().string().starts_with("umount.");
    const Result<Request> request =
        umount ? parse_umount_line(arguments) : parse_command_line(arguments);
    if (!request)
        return report(request.failure());
    if (request.value().help || request.value().version) {
        std::cout << (request.value().help ? usage_text : "mount.fusewb " FUSEWB_VERSION "\n");
        return 0;
    }
    const Status status = run(request.value());
    return status ? 0 : report(status.failure());
}
