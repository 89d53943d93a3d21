// SPDX-License-Identifier: GPL-2.0-only
// mount(8) calls its helpers as: mount.fusewb SPEC DIR [-sfnv] [-N NS] [-o OPTS] [-t TYPE]
// and umount(8) the one of users as: umount.fusewb-user DIR [-flnrv] [-N NS] [-t TYPE]
#pragma once

#include "mount/mount_options.h"

#include <string>
#include <vector>

namespace fusewb {

struct Request {
    std::string spec;       // as given; what findmnt and fstab compare
    std::string directory;  // the mount point as given
    std::string server;     // program name or path
    std::string source;     // the server's first argument; empty: none
    std::string name_space; // -N: the mount namespace, a pid or a path; empty: the caller's
    bool fake = false;      // -f: everything but the mount itself
    bool verbose = false;   // -v
    bool unmount = false;   // -u: take the caller's mount away
    bool lazy = false;      // -l: with -u, without waiting for data
    bool help = false;
    bool version = false;
    MountOptions options;

    // What mount(2) is told.
    std::string shown_source() const;
    std::string type() const; // "fusewb.SUBTYPE"
};

// `arguments` without the program's name. Fails with ExitCode::usage.
Result<Request> parse_command_line(const std::vector<std::string> &arguments);

// The same where umount(8) calls. What it forces it does not wait for either.
Result<Request> parse_umount_line(const std::vector<std::string> &arguments);

// The server's argument vector: SERVER [SOURCE] /dev/fd/N [-o OPTIONS]
std::vector<std::string> server_arguments(const Request &request, int device);

// The data argument of mount(2). `root_mode` as in st_mode, of which only the type counts.
std::string module_data(const Request &request, int device, unsigned root_mode, unsigned user,
                        unsigned group);

extern const char *const usage_text;

} // namespace fusewb
