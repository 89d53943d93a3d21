// SPDX-License-Identifier: GPL-2.0-only
#include "mount/module_state.h"

#include <libkmod.h>

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <system_error>

namespace fusewb {
namespace {

namespace fs = std::filesystem;

constexpr const char *device_path = "/dev/fusewb";
constexpr const char *module_name = "fusewb";
constexpr const char *secure_boot_variable =
    "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";

// The kernels that dkms.conf builds for; the same range in words for the user.
constexpr int oldest_kernel = 6 * 1000 + 1;
constexpr int newest_kernel = 7 * 1000 + 2;
constexpr const char *kernel_range = "6.1 to 7.2";

bool firmware_wants_signatures() {
    std::ifstream variable(secure_boot_variable, std::ios::binary);
    char content[5] = {}; // four bytes of attributes, then the value
    if (variable.read(content, sizeof(content)) && content[4] == 1)
        return true;
    std::string words;
    std::getline(std::ifstream("/sys/kernel/security/lockdown"), words);
    return !words.empty() && words.find("[none]") == std::string::npos;
}

bool modules_disabled() {
    int disabled = 0;
    std::ifstream("/proc/sys/kernel/modules_disabled") >> disabled;
    return disabled != 0;
}

// True if a directory named PREFIX... exists in `directory`.
bool has_entry(const fs::path &directory, const std::string &prefix) {
    std::error_code ignored;
    for (const fs::directory_entry &entry : fs::directory_iterator(directory, ignored))
        if (entry.path().filename().string().starts_with(prefix))
            return true;
    return false;
}

bool dkms_has_build(const std::string &release) {
    std::error_code ignored;
    for (const fs::directory_entry &version :
         fs::directory_iterator(fs::path("/var/lib/dkms") / module_name, ignored))
        if (fs::exists(version.path() / release, ignored))
            return true;
    return false;
}

// Returns 0 or the errno of loading; sets `found`.
int probe_insert(bool &found) {
    std::unique_ptr<kmod_ctx, decltype(&kmod_unref)> context(kmod_new(nullptr, nullptr),
                                                             kmod_unref);
    if (!context)
        return ENOMEM;
    // Its own messages would come before the one line that explains the failure.
    kmod_set_log_fn(
        context.get(), [](void *, int, const char *, int, const char *, const char *, va_list) {},
        nullptr);
    kmod_list *list = nullptr;
    if (kmod_module_new_from_lookup(context.get(), module_name, &list) < 0 || !list)
        return 0;
    found = true;
    kmod_module *module = kmod_module_get_module(list);
    const int result =
        kmod_module_probe_insert_module(module, 0, nullptr, nullptr, nullptr, nullptr);
    kmod_module_unref(module);
    kmod_module_unref_list(list);
    return result < 0 ? -result : 0;
}

bool kernel_in_range(const std::string &release) {
    int major = 0;
    int minor = 0;
    if (std::sscanf(release.c_str(), "%d.%d", &major, &minor) != 2)
        return true;
    const int version = major * 1000 + minor;
    return version >= oldest_kernel && version <= newest_kernel;
}

int open_as(uid_t user, const std::string &path) {
    const uid_t caller = geteuid();
    if (seteuid(user) != 0)
        return -1;
    const int fd = open(path.c_str(), O_RDWR | O_CLOEXEC);
    const int open_error = errno;
    // Root may always go back to itself; to go on as another user would be a hidden fault.
    if (seteuid(caller) != 0)
        std::abort();
    errno = open_error;
    return fd;
}

// A server that runs as root could mount over the file that its descriptor is of: go-fuse tries
// that with every mount point, before it looks whether it is /dev/fd/N. So the device is opened on
// a mount of its own, which is in no mount namespace and ends with its last descriptor: there
// mount(2) fails. A user can make no such mount, nor can a server of his mount.
int open_apart(uid_t user) {
    const int tree = open_tree(AT_FDCWD, device_path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (tree < 0)
        return open_as(user, device_path);
    const int fd = open_as(user, "/proc/self/fd/" + std::to_string(tree));
    close(tree);
    // Without /proc there is no way through the descriptor.
    return fd < 0 ? open_as(user, device_path) : fd;
}

int open_above_stdio(uid_t user) {
    const int fd = open_apart(user);
    if (fd < 0 || fd > STDERR_FILENO)
        return fd;
    // The server may reopen 0 to 2, so the number it is told must lie above them.
    const int moved = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    const int error = errno;
    close(fd);
    errno = error;
    return moved;
}

} // namespace

ModuleFacts load_module() {
    ModuleFacts facts;
    utsname name{};
    if (uname(&name) == 0)
        facts.release = name.release;
    facts.load_error = probe_insert(facts.found);
    facts.secure_boot = firmware_wants_signatures();
    facts.loading_disabled = modules_disabled();
    std::error_code ignored;
    facts.headers = fs::exists("/lib/modules/" + facts.release + "/build/Makefile", ignored);
    facts.source = has_entry("/usr/src", std::string(module_name) + "-");
    facts.built = dkms_has_build(facts.release);
    return facts;
}

Failure explain_missing_module(const ModuleFacts &facts) {
    const std::string kernel = "kernel " + facts.release;
    auto failure = [](std::string cause, std::string remedy) {
        return Failure{ExitCode::mount_failure, std::move(cause), std::move(remedy)};
    };
    if (facts.loading_disabled)
        return failure("the module fusewb is not loaded and loading modules is switched off",
                       "reboot without kernel.modules_disabled=1");
    if (!facts.found) {
        const std::string missing = "there is no module fusewb for " + kernel;
        if (!kernel_in_range(facts.release))
            return failure(missing + ", which is outside the range " + kernel_range +
                               " that fusewb supports",
                           "boot a kernel of that range");
        if (!facts.source)
            return failure(missing, "run: apt install fusewb-dkms");
        if (!facts.headers)
            return failure(missing + ", because the kernel's headers are not installed",
                           "run: apt install linux-headers-" + facts.release);
        if (facts.built)
            return failure(missing + ", although DKMS has built it",
                           "run: dkms install fusewb -k " + facts.release + " && depmod");
        return failure(missing + ", because DKMS has not built it",
                       "run: dkms autoinstall -k " + facts.release + ", and see its make.log");
    }
    const bool refused =
        facts.load_error == EPERM || facts.load_error == EKEYREJECTED || facts.load_error == ENOKEY;
    if (refused && facts.secure_boot)
        return failure("the kernel refused the module fusewb, because Secure Boot is on and the "
                       "key it is signed with is not enrolled",
                       "run: mokutil --import /var/lib/dkms/mok.pub, and reboot");
    if (refused)
        return failure(std::string("the module fusewb may not be loaded: ") +
                           std::strerror(facts.load_error),
                       "load it as root outside of any container: modprobe fusewb");
    if (facts.load_error == ENOEXEC || facts.load_error == EINVAL)
        return failure("the module fusewb does not fit " + kernel,
                       "build it anew: dpkg-reconfigure fusewb-dkms");
    if (facts.load_error)
        return failure(std::string("loading the module fusewb failed: ") +
                           std::strerror(facts.load_error),
                       "see: dmesg");
    return failure(std::string("the module fusewb is loaded, but ") + device_path +
                       " does not exist",
                   "run: udevadm trigger --name-match=fusewb");
}

Result<int> open_device(uid_t user) {
    auto missing = [] { return errno == ENOENT || errno == ENODEV || errno == ENXIO; };
    int fd = open_above_stdio(user);
    if (fd < 0 && missing()) {
        const ModuleFacts facts = load_module();
        fd = open_above_stdio(user);
        if (fd < 0 && missing())
            return explain_missing_module(facts);
    }
    if (fd >= 0)
        return fd;
    if (errno == EACCES || errno == EPERM)
        return Failure{ExitCode::usage, std::string("no permission to open ") + device_path,
                       "check its mode: ls -l /dev/fusewb"};
    return Failure{ExitCode::system,
                   std::string("cannot open ") + device_path + ": " + std::strerror(errno),
                   "see: dmesg"};
}

} // namespace fusewb
