// SPDX-License-Identifier: GPL-2.0-only
#include "mount/mount_options.h"

#include <libmount.h>

#include <sys/mount.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>

namespace fusewb {
namespace {

// fstab's own words and mount(8)'s: they say whether and when to mount, not how.
constexpr std::array dropped_names = {
    "_netdev", "auto",    "comment", "defaults", "group", "helper",  "noauto", "nofail",
    "nogroup", "noowner", "nouser",  "nousers",  "owner", "uhelper", "user",   "users"};

// The module's options that carry no value.
constexpr std::array module_switches = {"default_permissions", "allow_other"};

// The module's options that carry a number of bytes.
constexpr std::array module_numbers = {"max_read", "blksize"};

// Read by the kernel's security modules out of any file system's options.
constexpr std::array security_names = {"context", "fscontext", "defcontext", "rootcontext"};

// What the helper states itself: the caller cannot know the descriptor, and ids are setuid='s.
constexpr std::array own_names = {"fd", "rootmode", "user_id", "group_id"};

constexpr std::array writeback_modes = {"auto", "direct", "copy"};

template <typename List> bool contains(const List &list, std::string_view name) {
    return std::any_of(list.begin(), list.end(), [&](const char *each) { return name == each; });
}

bool is_dropped(std::string_view name) {
    return name.empty() || name.starts_with("x-") || name.starts_with("X-") ||
           contains(dropped_names, name);
}

// The VFS flag that `name` stands for, from the table that mount(8) itself uses.
const libmnt_optmap *find_vfs_flag(std::string_view name) {
    for (const libmnt_optmap *map = mnt_get_builtin_optmap(MNT_LINUX_MAP); map->name; ++map)
        if (name == map->name)
            return map;
    return nullptr;
}

constexpr int not_a_new_mount =
    MS_BIND | MS_MOVE | MS_SHARED | MS_PRIVATE | MS_SLAVE | MS_UNBINDABLE;

void append(std::string &list, std::string_view option) {
    if (!list.empty())
        list += ',';
    list += option;
}

bool is_number(const std::string &text) {
    std::uint32_t number = 0;
    const char *end = text.data() + text.size();
    auto [stop, error] = std::from_chars(text.data(), end, number);
    return error == std::errc() && stop == end;
}

// libfuse's option parser takes no quotes, but a backslash before a comma.
std::string for_server(const Option &option) {
    if (option.raw.find('"') == std::string::npos || !option.value)
        return option.raw;
    std::string text = option.name + '=';
    for (char c : *option.value) {
        if (c == ',' || c == '\\')
            text += '\\';
        text += c;
    }
    return text;
}

Failure usage(std::string cause, std::string remedy) {
    return {ExitCode::usage, std::move(cause), std::move(remedy)};
}

// Options whose meaning is the module's. Returns false if `option` is none of them.
Result<bool> take_module_option(const Option &option, MountOptions &sorted) {
    const std::string value = option.value.value_or("");
    if (contains(module_switches, option.name) && !option.value) {
        append(sorted.module, option.name);
        return true;
    }
    if (contains(module_numbers, option.name)) {
        if (!is_number(value))
            return usage("option " + option.raw + " needs a number of bytes",
                         "write " + option.name + "=131072, for example");
        append(sorted.module, option.name + '=' + value);
        return true;
    }
    // "writeback" alone is an option of some servers (passthrough_ll has it).
    if (option.name == "writeback" && option.value) {
        if (!contains(writeback_modes, value))
            return usage("option " + option.raw + " is no writeback mode",
                         "use writeback=auto, writeback=direct or writeback=copy");
        append(sorted.module, option.name + '=' + value);
        return true;
    }
    if (contains(security_names, option.name) && option.value) {
        append(sorted.module, option.raw);
        return true;
    }
    return false;
}

// Options whose meaning is the helper's. Returns false if `option` is none of them.
Result<bool> take_helper_option(const Option &option, MountOptions &sorted) {
    const bool wants_value =
        option.name == "setuid" || option.name == "fsname" || option.name == "subtype";
    if (wants_value) {
        if (!option.value || option.value->empty())
            return usage("option " + option.name + " needs a value",
                         "write " + option.name + "=VALUE, or leave it out");
        if (option.name == "setuid")
            sorted.setuid = *option.value;
        else if (option.name == "fsname")
            sorted.fsname = *option.value;
        else
            sorted.subtype = *option.value;
        return true;
    }
    if (option.name == "drop_privileges")
        return usage("option drop_privileges is not supported",
                     "use setuid=USER to run the server without privileges");
    if (option.name == "auto_unmount")
        return usage("option auto_unmount is not supported",
                     "leave it out, and umount after the server has ended");
    return false;
}

} // namespace

std::vector<Option> split_options(std::string_view text) {
    std::vector<Option> options;
    Option current;
    bool quoted = false;
    auto finish = [&] {
        if (!current.raw.empty())
            options.push_back(std::move(current));
        current = {};
    };
    auto add = [&](char c) {
        if (current.value)
            *current.value += c;
        else
            current.name += c;
    };
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (c == ',' && !quoted) {
            finish();
            continue;
        }
        current.raw += c;
        if (c == '\\' && !quoted && i + 1 < text.size()) {
            current.raw += text[++i];
            add(text[i]);
        } else if (c == '"') {
            quoted = !quoted;
        } else if (c == '=' && !quoted && !current.value) {
            current.value.emplace();
        } else {
            add(c);
        }
    }
    finish();
    return options;
}

Result<MountOptions> sort_options(const std::vector<Option> &options) {
    MountOptions sorted;
    sorted.remount = std::any_of(options.begin(), options.end(),
                                 [](const Option &each) { return each.raw == "remount"; });
    bool allow_root = false;
    for (const Option &option : options) {
        if (is_dropped(option.name))
            continue;
        if (const libmnt_optmap *flag = option.value ? nullptr : find_vfs_flag(option.name)) {
            const auto bits = static_cast<unsigned>(flag->id);
            if (bits & static_cast<unsigned>(not_a_new_mount))
                return usage("option " + option.name + " does not make a new mount",
                             "mount first, then use mount --" + option.name);
            if (flag->mask & MNT_INVERT)
                sorted.vfs_flags &= ~static_cast<unsigned long>(bits);
            else
                sorted.vfs_flags |= bits;
            continue;
        }
        if (contains(own_names, option.name)) {
            // mount(8) repeats the options of the existing mount when it asks for a remount.
            if (sorted.remount)
                continue;
            return usage("option " + option.raw + " is set by mount.fusewb itself",
                         "leave it out, or use setuid=USER to choose the owner");
        }
        Result<bool> taken = take_helper_option(option, sorted);
        if (taken && !taken.value())
            taken = take_module_option(option, sorted);
        if (!taken)
            return taken.failure();
        if (taken.value())
            continue;
        if (option.name == "allow_root" && !option.value)
            allow_root = true;
        append(sorted.server, for_server(option));
    }
    // libfuse keeps this promise in the server: the module admits everyone, the server turns away
    // all but root and the owner.
    if (allow_root)
        append(sorted.module, "allow_other");
    // The server has to know that it will not be written to; the VFS enforces it.
    if (sorted.vfs_flags & MS_RDONLY)
        sorted.server = sorted.server.empty() ? "ro" : "ro," + sorted.server;
    return sorted;
}

} // namespace fusewb
