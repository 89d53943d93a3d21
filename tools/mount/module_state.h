// SPDX-License-Identifier: GPL-2.0-only
// Loading the module, and saying in one line why it cannot be had.
#pragma once

#include "mount/failure.h"

#include <sys/types.h>

#include <string>

namespace fusewb {

// What is known about the module after an attempt to load it.
struct ModuleFacts {
    std::string release;           // uname -r
    bool found = false;            // modprobe knows a module of this name for this kernel
    int load_error = 0;            // errno of loading it; 0: loaded, or not found
    bool secure_boot = false;      // firmware or lockdown ask for signed modules
    bool loading_disabled = false; // kernel.modules_disabled
    bool headers = false;          // the kernel's headers are installed
    bool source = false;           // fusewb-dkms has put the module's source in place
    bool built = false;            // DKMS holds a build for this kernel
};

// Loads the module if it is not loaded, and gathers the facts. Needs root to load.
ModuleFacts load_module();

// Why the device is missing although load_module() was tried. Always ExitCode::mount_failure.
Failure explain_missing_module(const ModuleFacts &facts);

// Opens the device with the effective id `user`, after loading the module as the caller if need be:
// the module lets a connection do what its opener's privileges allow. Returns a close-on-exec
// descriptor above 2 that the caller owns.
Result<int> open_device(uid_t user);

} // namespace fusewb
