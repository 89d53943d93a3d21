// SPDX-License-Identifier: GPL-2.0-only
// fusewb-mounter: makes or takes away one mount of a user's, as fusewbd asks on standard input,
// and ends. It is a program of its own because it needs what fusewbd is better without: mount(2),
// other mount namespaces, and waiting for whatever file system the place is on. If that never
// answers, it is this process that hangs, until its unit's time is over.
//
// That the caller may mount at all, and how often, was fusewbd's to find out. That the place is the
// caller's own is checked here.
#include "mounter/helper_note.h"
#include "mounter/message.h"
#include "mounter/place.h"
#include "mounter/user_options.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <iostream>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

namespace {

using namespace fusewb;
using namespace fusewb::mounter;

// What the kernel says to a mount that it refuses comes out of the descriptor, a line a message.
Failure explain(int context, const std::string &what) {
    const int error = errno;
    std::array<char, 512> line;
    std::string words;
    for (ssize_t got = 0; (got = read(context, line.data(), line.size())) > 0;) {
        const std::string text(line.data(), static_cast<std::size_t>(got));
        if (text.starts_with("e ") && words.empty())
            words = text.substr(2, text.find('\n') - 2);
    }
    return {what + ": " + (words.empty() ? std::strerror(error) : words), error};
}

bool isName(const std::string &text) {
    return std::all_of(text.begin(), text.end(),
                       [](unsigned char c) { return std::isalnum(c) || std::strchr("._+-", c); });
}

Outcome configure(int context, const Request &request, const UserOptions &options, mode_t type) {
    std::array<char, 16> octal{};
    std::snprintf(octal.data(), octal.size(), "%o", type);
    std::vector<std::pair<std::string, std::string>> parameters{
        {"source", request.source},
        {"fd", std::to_string(request.device.get())},
        {"rootmode", octal.data()},
        {"user_id", std::to_string(request.user)},
        {"group_id", std::to_string(request.group)}};
    if (!request.subtype.empty())
        parameters.emplace_back("subtype", request.subtype);
    parameters.insert(parameters.end(), options.parameters.begin(), options.parameters.end());
    if (options.readOnly)
        parameters.emplace_back("ro", "");
    for (const auto &[name, value] : parameters) {
        const bool flag = value.empty() && name != "source";
        if (fsconfig(context, flag ? FSCONFIG_SET_FLAG : FSCONFIG_SET_STRING, name.c_str(),
                     flag ? nullptr : value.c_str(), 0) < 0)
            return explain(context, "the kernel refuses " + name);
    }
    if (fsconfig(context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) < 0)
        return explain(context, "the kernel refuses the mount");
    return done();
}

// The mount is there, or gone, without it.
void tell(const Request &request, const Outcome &noted) {
    if (!noted)
        std::cerr << "fusewb-mounter: user " << request.user << ": " << noted.failure().what
                  << '\n';
}

Outcome makeMount(const Request &request, const OwnProc &proc, const HelperNotes &notes) {
    const auto options = sortUserOptions(request.options);
    if (!options)
        return options.failure();
    if (!isName(request.subtype))
        return Failure{"\"" + request.subtype + "\" is no name for a kind of file system", EINVAL};
    if (Outcome good = checkPlace(proc, request.place.get(), request.user); !good)
        return good;
    struct stat status {};
    if (fstat(request.place.get(), &status) < 0)
        return Failure{std::strerror(errno), errno};

    const Descriptor context(fsopen("fusewb", FSOPEN_CLOEXEC));
    if (!context.held())
        return Failure{errno == ENODEV
                           ? "the module is not loaded"
                           : std::string("cannot begin a mount: ") + std::strerror(errno),
                       errno};
    if (Outcome made = configure(context.get(), request, *options, status.st_mode & S_IFMT); !made)
        return made;
    const Descriptor mount(
        fsmount(context.get(), FSMOUNT_CLOEXEC, static_cast<unsigned>(options->attributes)));
    if (!mount.held())
        return explain(context.get(), "the kernel refuses the mount");
    if (move_mount(mount.get(), "", request.place.get(), "",
                   MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
        return Failure{std::string("cannot mount there: ") + std::strerror(errno), errno};
    tell(request, notes.add(request.source, proc.pathOf(request.place.get())));
    return done();
}

Outcome takeAway(const Request &request, const OwnProc &proc, const HelperNotes &notes) {
    if (Outcome own = checkOwnMount(proc, request.place.get(), request.user); !own)
        return own;
    const std::string point = proc.pathOf(request.place.get());
    if (Outcome detached = proc.detach(request.place.get()); !detached)
        return detached;
    tell(request, notes.remove(point));
    return done();
}

Outcome work(const Request &request) {
    const auto proc = OwnProc::open();
    if (!proc)
        return proc.failure();
    const HelperNotes notes;
    if (Outcome entered = enterNamespace(request.nameSpace.get()); !entered)
        return entered;
    return request.verb == Verb::Mount ? makeMount(request, *proc, notes)
                                       : takeAway(request, *proc, notes);
}

} // namespace

int main() {
    try {
        const auto request = receive(STDIN_FILENO);
        if (!request) {
            std::cerr << "fusewb-mounter: " << request.failure().what << '\n';
            return EXIT_FAILURE;
        }
        const Outcome answer = work(*request);
        if (!answer)
            std::cerr << "fusewb-mounter: user " << request->user << ": " << answer.failure().what
                      << '\n';
        return sendAnswer(STDIN_FILENO, answer) ? EXIT_SUCCESS : EXIT_FAILURE;
    } catch (const std::exception &error) {
        std::cerr << "fusewb-mounter: " << error.what() << '\n';
        return EXIT_FAILURE;
    }
}
