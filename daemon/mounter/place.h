// SPDX-License-Identifier: GPL-2.0-only
// The place of a mount, which is a descriptor from beginning to end: what was checked is what is
// mounted on or taken away, whatever becomes of the path that led there.
#pragma once

#include "base/result.h"
#include "mounter/message.h"

namespace fusewb::mounter {

/// Goes into the mount namespace for good. Fails with EPERM unless it belongs to the user namespace
/// of this process: in another one, it is not the user's word that counts but that namespace's.
Outcome enterNamespace(int nameSpace);

/// What /proc/self shows, from within a mount namespace whose own /proc may be anything. Opened
/// before that is entered.
class OwnProc {
public:
    static Result<OwnProc> open();

    /// The path of a descriptor as the kernel tells it; empty if it cannot be told.
    std::string pathOf(int fd) const;

    /// The id of the mount that a descriptor is on, as in the mount table. Asks no file system.
    Result<int> mountOf(int fd) const;

    /// The mount table of the mount namespace that this process is in now.
    Result<std::string> mountTable() const;

    /// Takes the mount away whose root the descriptor is, though it be in use.
    Outcome detach(int fd) const;

private:
    explicit OwnProc(Descriptor directory) : directory_(std::move(directory)) {}
    Result<std::string> read(const std::string &name) const;

    Descriptor directory_;
};

/// Whether the user may mount there: a directory or file of the user's own, which the user may
/// write, on no file system of the kernel's own, and nothing mounted over it. The failure says
/// which of these it is not.
Outcome checkPlace(const OwnProc &proc, int place, uid_t user);

/// Whether the descriptor is on a fusewb file system that belongs to the user, with nothing mounted
/// in it.
Outcome checkOwnMount(const OwnProc &proc, int root, uid_t user);

} // namespace fusewb::mounter
