// SPDX-License-Identifier: GPL-2.0-only
#include "mount/failure.h"

#include <algorithm>

namespace fusewb {

std::string Failure::line() const {
    std::string text = "mount.fusewb: " + cause;
    if (!remedy.empty())
        text += "; " + remedy;
    // A file name may hold a newline; the promise of one line holds all the same.
    std::replace(text.begin(), text.end(), '\n', '?');
    return text;
}

} // namespace fusewb
