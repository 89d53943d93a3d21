// SPDX-License-Identifier: GPL-2.0-only
#include "support/client.h"

namespace fs = std::filesystem;

namespace fusewb::test {

Place::Place(const Client &client, Passthrough::Options options) {
    if (std::string(client.type) == "tmpfs") {
        directory_ = scratch() / options.name;
        fs::create_directories(directory_);
        return;
    }
    options.type = client.type;
    server_ = std::make_unique<Passthrough>(options);
}

fs::path Place::operator()(const std::string &name) const {
    return server_ ? server_->mnt(name) : directory_ / name;
}

fs::path Place::backing(const std::string &name) const {
    return server_ ? server_->backing(name) : directory_ / name;
}

} // namespace fusewb::test
