// SPDX-License-Identifier: GPL-2.0-only
#include "mount/command_line.h"

#include <sys/stat.h>

#include <cstdio>

namespace fusewb {

const char *const usage_text =
    "Usage: mount -t fusewb SERVER#[SOURCE] DIRECTORY [-o OPTIONS]\n"
    "       mount -t fusewb.SERVER SOURCE|none DIRECTORY [-o OPTIONS]\n"
    "       mount.fusewb SPEC DIRECTORY [-sfnv] [-N NAMESPACE] [-o OPTIONS] [-t TYPE]\n"
    "       mount.fusewb -u [-l] DIRECTORY\n";

namespace {

Failure usage(std::string cause) {
    return {ExitCode::usage, std::move(cause),
            "use: mount -t fusewb SERVER#SOURCE DIRECTORY, or see mount.fusewb(8)"};
}

std::string base_name(const std::string &path) { return path.substr(path.find_last_of('/') + 1); }

// Fills server and source from SPEC and, if there is one, the type's part after the dot.
Status split_spec(Request &request, const std::string &type) {
    constexpr std::string_view family = "fusewb";
    if (!type.empty() && type != family) {
        if (!type.starts_with("fusewb.") || type.size() == family.size() + 1)
            return usage("type " + type + " is not fusewb.SERVER");
        request.server = type.substr(family.size() + 1);
        // mount(8) wants a first argument, and fstab a first field; "none" is their word for none.
        if (request.spec != "none")
            request.source = request.spec;
        return std::monostate{};
    }
    const std::size_t hash = request.spec.find('#');
    request.server = request.spec.substr(0, hash);
    if (hash != std::string::npos)
        request.source = request.spec.substr(hash + 1);
    if (request.server.empty() || base_name(request.server).empty())
        return usage("no server is named in '" + request.spec + "'");
    return std::monostate{};
}

// The single-letter options of mount helpers, with or without a value.
struct Letters {
    std::string type;
    std::string options;
};

Status take_letters(const std::vector<std::string> &arguments, std::size_t &index, Request &request,
                    Letters &letters) {
    const std::string &word = arguments[index];
    for (std::size_t at = 1; at < word.size(); ++at) {
        std::string *value = nullptr;
        std::string option_list;
        switch (word[at]) {
        case 'f':
            request.fake = true;
            continue;
        case 'v':
            request.verbose = true;
            continue;
        case 'u':
            request.unmount = true;
            continue;
        case 'l':
            request.lazy = true;
            continue;
        case 'h':
            request.help = true;
            continue;
        case 'V':
            request.version = true;
            continue;
        case 's': // sloppy: unknown options are the server's affair in any case
        case 'n': // no mtab: there has been none for long
            continue;
        case 'o':
            value = &option_list;
            break;
        case 't':
            value = &letters.type;
            break;
        case 'N':
            value = &request.name_space;
            break;
        default:
            return usage(std::string("unknown argument -") + word[at]);
        }
        if (at + 1 < word.size())
            *value = word.substr(at + 1);
        else if (index + 1 < arguments.size())
            *value = arguments[++index];
        else
            return usage("argument " + word + " needs a value");
        if (!option_list.empty())
            letters.options += (letters.options.empty() ? "" : ",") + option_list;
        break;
    }
    return std::monostate{};
}

} // namespace

std::string Request::shown_source() const { return options.fsname.empty() ? spec : options.fsname; }

std::string Request::type() const {
    return "fusewb." + (options.subtype.empty() ? base_name(server) : options.subtype);
}

Result<Request> parse_command_line(const std::vector<std::string> &arguments) {
    Request request;
    Letters letters;
    std::vector<std::string> words;
    bool only_words = false;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        const std::string &word = arguments[i];
        if (!only_words && word == "--") {
            only_words = true;
        } else if (!only_words && word == "--help") {
            request.help = true;
        } else if (!only_words && word == "--version") {
            request.version = true;
        } else if (!only_words && word.size() > 1 && word[0] == '-') {
            if (Status taken = take_letters(arguments, i, request, letters); !taken)
                return taken.failure();
        } else {
            words.push_back(word);
        }
    }
    if (request.help || request.version)
        return request;
    if (request.unmount) {
        if (words.size() != 1)
            return Failure{ExitCode::usage, "-u takes one mount point",
                           "use: mount.fusewb -u [-l] DIRECTORY"};
        if (!request.name_space.empty())
            return Failure{ExitCode::usage, "-N does not go with -u",
                           "unmount in the mount namespace that you are in"};
        request.directory = words[0];
        return request;
    }
    if (request.lazy)
        return usage("-l goes with -u only");
    if (words.size() != 2)
        return usage(words.size() < 2 ? "a file system and a mount point are needed"
                                      : "too many arguments: " + words[2]);
    request.spec = words[0];
    request.directory = words[1];
    Result<MountOptions> sorted = sort_options(split_options(letters.options));
    if (!sorted)
        return sorted.failure();
    request.options = std::move(sorted.value());
    // A remount starts no server, and mount(8) may name the source of the existing mount only.
    if (!request.options.remount)
        if (Status split = split_spec(request, letters.type); !split)
            return split.failure();
    return request;
}

Result<Request> parse_umount_line(const std::vector<std::string> &arguments) {
    std::vector<std::string> as_own{"-u"};
    for (const std::string &word : arguments) {
        if (word == "-r")
            return Failure{ExitCode::usage, "only root may remount",
                           "run umount as root, with sudo for example"};
        as_own.push_back(word == "-f" ? "-l" : word);
    }
    return parse_command_line(as_own);
}

std::vector<std::string> server_arguments(const Request &request, int device) {
    std::vector<std::string> arguments{request.server};
    if (!request.source.empty())
        arguments.push_back(request.source);
    arguments.push_back("/dev/fd/" + std::to_string(device));
    if (!request.options.server.empty()) {
        arguments.push_back("-o");
        arguments.push_back(request.options.server);
    }
    return arguments;
}

std::string module_data(const Request &request, int device, unsigned root_mode, unsigned user,
                        unsigned group) {
    char fixed[96];
    std::snprintf(fixed, sizeof(fixed), "fd=%d,rootmode=%o,user_id=%u,group_id=%u", device,
                  root_mode & S_IFMT, user, group);
    std::string data = fixed;
    if (!request.options.module.empty())
        data += ',' + request.options.module;
    return data;
}

} // namespace fusewb
