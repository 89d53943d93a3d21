/* SPDX-License-Identifier: GPL-2.0-only */
/* What is kept of a directory for who lists it: listing.c. */
#ifndef FUSEWB_LISTING_H
#define FUSEWB_LISTING_H

#include <linux/fs.h>
#include <linux/fuse.h>

/**
 * fusewb_listing_emit() - list from what is kept
 *
 * With FUSE_AUTO_INVAL_DATA the server is asked at the beginning whether the
 * directory changed, unless its attributes are fresh. Return: 1 if that was
 * all there is for this call, 0 if the server is to be asked from ctx->pos on;
 * errors of fusewb_update_attributes(), -ENOMEM, -EINTR.
 */
int fusewb_listing_emit(struct file *file, struct dir_context *ctx);

/**
 * fusewb_listing_begin() - before the server is asked from @place on
 *
 * At the beginning of the directory a new listing is begun, unless a whole one
 * is kept. Return: its version, for fusewb_listing_add() and
 * fusewb_listing_end().
 */
u64 fusewb_listing_begin(struct inode *dir, u64 place);

/**
 * fusewb_listing_add() - the server's name at @place is kept
 * @dirent: checked; up to FUSEWB_NAME_MAX bytes of name
 *
 * Unless listing @version is over, or goes on at another place. May sleep.
 */
void fusewb_listing_add(struct inode *dir, u64 version, u64 place,
			const struct fuse_dirent *dirent);

/** fusewb_listing_end() - at @place there were no more names. */
void fusewb_listing_end(struct inode *dir, u64 version, u64 place);

/** fusewb_listing_forget() - what is kept, or asked for just now, is not used. */
void fusewb_listing_forget(struct inode *dir);

#endif
