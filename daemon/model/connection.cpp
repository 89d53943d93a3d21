// SPDX-License-Identifier: GPL-2.0-only
#include "model/connection.h"

#include <linux/fuse.h>

namespace fusewb::model {

std::string_view name(State state) {
    switch (state) {
    case State::Init:
        return "init";
    case State::Ready:
        return "ready";
    case State::Aborted:
        return "aborted";
    case State::Unknown:
        break;
    }
    return "unknown";
}

std::string_view name(Writeback writeback) {
    switch (writeback) {
    case Writeback::Through:
        return "through";
    case Writeback::Copy:
        return "copy";
    case Writeback::Direct:
        return "direct";
    case Writeback::Unknown:
        break;
    }
    return "unknown";
}

std::string_view name(AbortReason reason) {
    switch (reason) {
    case AbortReason::None:
        return "";
    case AbortReason::DeviceClosed:
        return "device-closed";
    case AbortReason::Requested:
        return "requested";
    case AbortReason::Deadline:
        return "deadline";
    case AbortReason::UmountForced:
        return "umount-forced";
    case AbortReason::Init:
        return "init";
    case AbortReason::Unmounted:
        return "unmounted";
    case AbortReason::Unknown:
        break;
    }
    return "unknown";
}

std::string_view name(Class operations) {
    switch (operations) {
    case Class::Writeback:
        return "writeback";
    case Class::Metadata:
        return "metadata";
    case Class::Read:
        return "read";
    case Class::Lock:
        return "lock";
    case Class::Unknown:
        break;
    }
    return "unknown";
}

std::string_view name(RequestState state) {
    switch (state) {
    case RequestState::Queued:
        return "queued";
    case RequestState::Copying:
        return "copying";
    case RequestState::Sent:
        return "sent";
    case RequestState::Answering:
        return "answering";
    case RequestState::Abandoned:
        return "abandoned";
    case RequestState::Unknown:
        break;
    }
    return "unknown";
}

std::string operationName(std::uint32_t opcode) {
    switch (opcode) {
#define OPERATION(name)                                                                            \
    case FUSE_##name:                                                                              \
        return #name
        OPERATION(LOOKUP);
        OPERATION(FORGET);
        OPERATION(GETATTR);
        OPERATION(SETATTR);
        OPERATION(READLINK);
        OPERATION(SYMLINK);
        OPERATION(MKNOD);
        OPERATION(MKDIR);
        OPERATION(UNLINK);
        OPERATION(RMDIR);
        OPERATION(RENAME);
        OPERATION(LINK);
        OPERATION(OPEN);
        OPERATION(READ);
        OPERATION(WRITE);
        OPERATION(STATFS);
        OPERATION(RELEASE);
        OPERATION(FSYNC);
        OPERATION(SETXATTR);
        OPERATION(GETXATTR);
        OPERATION(LISTXATTR);
        OPERATION(REMOVEXATTR);
        OPERATION(FLUSH);
        OPERATION(INIT);
        OPERATION(OPENDIR);
        OPERATION(READDIR);
        OPERATION(RELEASEDIR);
        OPERATION(FSYNCDIR);
        OPERATION(GETLK);
        OPERATION(SETLK);
        OPERATION(SETLKW);
        OPERATION(ACCESS);
        OPERATION(CREATE);
        OPERATION(INTERRUPT);
        OPERATION(BMAP);
        OPERATION(DESTROY);
        OPERATION(IOCTL);
        OPERATION(POLL);
        OPERATION(NOTIFY_REPLY);
        OPERATION(BATCH_FORGET);
        OPERATION(FALLOCATE);
        OPERATION(READDIRPLUS);
        OPERATION(RENAME2);
        OPERATION(LSEEK);
        OPERATION(COPY_FILE_RANGE);
        OPERATION(SETUPMAPPING);
        OPERATION(REMOVEMAPPING);
        OPERATION(SYNCFS);
        OPERATION(TMPFILE);
#undef OPERATION
    default:
        return "opcode " + std::to_string(opcode);
    }
}

} // namespace fusewb::model
