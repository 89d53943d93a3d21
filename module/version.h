/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef FUSEWB_VERSION_H
#define FUSEWB_VERSION_H

#define FUSEWB_VERSION "0.1.0"

#endif
