// SPDX-License-Identifier: GPL-2.0-only
/*
 * Kept listings: the names of a directory in the server's order, where it lets
 * them be kept (FOPEN_CACHE_DIR, or no OPENDIR at all).
 *
 * They are in the directory's page cache, each as a struct fuse_dirent and none
 * in two pages, so memory is taken from them as from any clean page. Answers
 * append to a listing what goes on where it ends. Only a whole one is used; who
 * lists from the beginning and finds none begins a new one, so nobody depends
 * on another reader who left in the middle. The version tells one listing from
 * the next, whose names are in the same pages.
 */
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/swap.h>

#include "compat/compat.h"
#include "connection.h"
#include "dir.h"
#include "file.h"
#include "inode.h"
#include "listing.h"

/* The inode's lock is held. */
static bool usable(const struct inode *dir)
{
	const struct fusewb_listing *l = &FUSEWB_I(dir)->listing;

	return l->state == FUSEWB_LISTING_WHOLE && l->names == fusewb_dir_names(dir);
}

/* Return: its bytes, or -ESTALE if it is not of this version or not usable. */
static loff_t usable_size(struct inode *dir, u64 version)
{
	struct fusewb_inode *fi = FUSEWB_I(dir);
	loff_t size = -ESTALE;

	spin_lock(&fi->lock);
	if (fi->listing.version == version && usable(dir))
		size = fi->listing.size;
	spin_unlock(&fi->lock);
	return size;
}

static void forget_version(struct inode *dir, u64 version)
{
	struct fusewb_inode *fi = FUSEWB_I(dir);

	spin_lock(&fi->lock);
	if (fi->listing.version == version)
		fi->listing.state = FUSEWB_LISTING_NONE;
	spin_unlock(&fi->lock);
}

/* Return: the folio with the names at @at, with a reference, or NULL. */
static struct folio *get_names(struct address_space *mapping, loff_t at)
{
	struct folio *folio = filemap_get_folio(mapping, at >> PAGE_SHIFT);

	if (IS_ERR_OR_NULL(folio))
		return NULL;
	if (folio_test_uptodate(folio)) {
		folio_mark_accessed(folio);
		return folio;
	}
	/* Memory was taken from it, and who makes it anew has nothing to add. */
	folio_put(folio);
	return NULL;
}

/*
 * Copies the names from @at on to the end of their page. To copy them to a user
 * is to wait for his memory, which may be a file of this very server.
 *
 * Return: bytes, 0 at the end, or -ESTALE if the listing is not to be used.
 */
static ssize_t copy_names(struct inode *dir, u64 version, loff_t at, void *to)
{
	loff_t size = usable_size(dir, version);
	struct folio *folio;
	size_t len;
	void *from;

	if (size < 0 || at >= size)
		return size < 0 ? size : 0;
	len = min_t(loff_t, size - at, PAGE_SIZE - offset_in_page(at));
	folio = get_names(dir->i_mapping, at);
	if (!folio) {
		forget_version(dir, version);
		return -ESTALE;
	}
	from = kmap_local_folio(folio, offset_in_folio(folio, at));
	memcpy(to, from, len);
	kunmap_local(from);
	folio_put(folio);
	/* A newer listing is written over it, but not before its version is there. */
	size = usable_size(dir, version);
	return size < 0 ? size : len;
}

/*
 * Emits names until the reader has enough. While *@seeking those up to his place
 * are passed over.
 *
 * Return: the bytes of what was passed over and emitted.
 */
static size_t emit_names(const void *names, size_t len, struct dir_context *ctx, bool *seeking)
{
	size_t done = 0;

	while (len - done >= FUSE_NAME_OFFSET) {
		const struct fuse_dirent *dirent = names + done;

		/* What is left of the page was too little for the next one. */
		if (!dirent->namelen)
			return len;
		if (*seeking) {
			*seeking = dirent->off != ctx->pos;
		} else {
			if (!dir_emit(ctx, dirent->name, dirent->namelen, dirent->ino,
				      dirent->type))
				return done;
			ctx->pos = dirent->off;
		}
		done += FUSE_DIRENT_SIZE(dirent);
	}
	return len;
}

/* As fusewb_listing_emit(), with a page for a copy, of listing @version. */
static int emit(struct file *file, struct dir_context *ctx, u64 version, void *names)
{
	struct fusewb_listing_cursor *cursor = &fusewb_file_handle(file)->cursor;
	bool known = cursor->version == version && cursor->place == ctx->pos;
	loff_t at = known ? cursor->at : 0;
	bool seeking = !known && ctx->pos;
	u64 first = ctx->pos;
	ssize_t len;
	size_t done;

	do {
		if (fatal_signal_pending(current))
			return -EINTR;
		len = copy_names(file_inode(file), version, at, names);
		if (len < 0)
			return ctx->pos != first;
		done = emit_names(names, len, ctx, &seeking);
		at += done;
		cond_resched();
	} while (len && done == len);

	/* A place that none of the names has: the server may know it. */
	if (seeking)
		return 0;
	*cursor = (struct fusewb_listing_cursor){
		.version = version,
		.place = ctx->pos,
		.at = at,
	};
	return 1;
}

int fusewb_listing_emit(struct file *file, struct dir_context *ctx)
{
	struct inode *dir = file_inode(file);
	struct fusewb_inode *fi = FUSEWB_I(dir);
	u64 version;
	void *names;
	bool kept;
	int ret;

	if (!ctx->pos && fusewb_inode_conn(dir)->flags & FUSE_AUTO_INVAL_DATA) {
		ret = fusewb_update_attributes(dir, file);
		if (ret)
			return ret;
	}
	spin_lock(&fi->lock);
	version = fi->listing.version;
	kept = usable(dir);
	spin_unlock(&fi->lock);
	if (!kept)
		return 0;
	names = kmalloc(PAGE_SIZE, GFP_KERNEL);
	if (!names)
		return -ENOMEM;
	ret = emit(file, ctx, version, names);
	kfree(names);
	return ret;
}

u64 fusewb_listing_begin(struct inode *dir, u64 place)
{
	struct fusewb_inode *fi = FUSEWB_I(dir);
	struct fusewb_listing *l = &fi->listing;
	u64 version;

	spin_lock(&fi->lock);
	if (!place && !usable(dir)) {
		l->version++;
		l->names = fusewb_dir_names(dir);
		l->next = 0;
		l->size = 0;
		l->state = FUSEWB_LISTING_BEGUN;
	}
	version = l->version;
	spin_unlock(&fi->lock);
	return version;
}

/* The inode's lock is held. */
static bool goes_on_at(const struct fusewb_listing *l, u64 version, u64 place)
{
	return l->state == FUSEWB_LISTING_BEGUN && l->version == version && l->next == place;
}

/* Return: where @len bytes follow on @size, in one page. */
static loff_t room_for(loff_t size, size_t len)
{
	return offset_in_page(size) + len > PAGE_SIZE ? round_up(size, PAGE_SIZE) : size;
}

/* The folio and the inode's lock are held. */
static void append(struct fusewb_listing *l, struct folio *folio, loff_t at,
		   const struct fuse_dirent *dirent, size_t len)
{
	size_t off = offset_in_page(at);
	u8 *page;

	/* Memory was taken from the names before it in the page. */
	if (off && !folio_test_uptodate(folio)) {
		l->state = FUSEWB_LISTING_NONE;
		return;
	}
	page = kmap_local_folio(folio, offset_in_folio(folio, at - off));
	if (!off)
		clear_page(page);
	memcpy(page + off, dirent, FUSE_NAME_OFFSET + dirent->namelen);
	kunmap_local(page);
	folio_mark_uptodate(folio);
	l->size = at + len;
	l->next = dirent->off;
}

void fusewb_listing_add(struct inode *dir, u64 version, u64 place,
			const struct fuse_dirent *dirent)
{
	struct fusewb_inode *fi = FUSEWB_I(dir);
	struct fusewb_listing *l = &fi->listing;
	size_t len = FUSE_DIRENT_SIZE(dirent);
	struct folio *folio;
	bool wanted;
	loff_t at;

	BUILD_BUG_ON(FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + FUSEWB_NAME_MAX) > PAGE_SIZE);

	spin_lock(&fi->lock);
	wanted = goes_on_at(l, version, place);
	at = room_for(l->size, len);
	spin_unlock(&fi->lock);
	if (!wanted)
		return;
	folio = fusewb_lock_page(dir->i_mapping, at >> PAGE_SHIFT);
	if (IS_ERR(folio))
		return;
	spin_lock(&fi->lock);
	if (goes_on_at(l, version, place) && room_for(l->size, len) == at)
		append(l, folio, at, dirent, len);
	spin_unlock(&fi->lock);
	folio_unlock(folio);
	folio_put(folio);
}

void fusewb_listing_end(struct inode *dir, u64 version, u64 place)
{
	struct fusewb_inode *fi = FUSEWB_I(dir);

	spin_lock(&fi->lock);
	if (goes_on_at(&fi->listing, version, place))
		fi->listing.state = FUSEWB_LISTING_WHOLE;
	spin_unlock(&fi->lock);
}

void fusewb_listing_forget(struct inode *dir)
{
	struct fusewb_inode *fi = FUSEWB_I(dir);

	spin_lock(&fi->lock);
	fi->listing.version++;
	fi->listing.state = FUSEWB_LISTING_NONE;
	spin_unlock(&fi->lock);
}
