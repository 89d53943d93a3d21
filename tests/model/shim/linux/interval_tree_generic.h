/* SPDX-License-Identifier: GPL-2.0-only */
/* The four functions of the kernel's header of this name, on a sorted list. */
#ifndef MODEL_INTERVAL_TREE_GENERIC_H
#define MODEL_INTERVAL_TREE_GENERIC_H

#include "../kernel.h"

/* For proving that the checks see what they are there for: the tree finds nothing any more. */
extern bool model_tree_is_blind;

#define INTERVAL_TREE_DEFINE(type, rb, key, subtree_last, first_of, last_of, storage, prefix)	\
storage void prefix##_insert(type *node, struct rb_root_cached *root)				\
{												\
	struct rb_node **at = &root->first;							\
												\
	while (*at && first_of(container_of(*at, type, rb)) < first_of(node))			\
		at = &(*at)->next;								\
	node->subtree_last = last_of(node);							\
	node->rb.next = *at;									\
	*at = &node->rb;									\
}												\
storage void prefix##_remove(type *node, struct rb_root_cached *root)				\
{												\
	struct rb_node **at = &root->first;							\
												\
	while (*at != &node->rb)								\
		at = &(*at)->next;								\
	*at = node->rb.next;									\
	node->rb.next = NULL;									\
}												\
storage type *prefix##_from(struct rb_node *at, key first, key last)				\
{												\
	for (; at; at = at->next) {								\
		type *node = container_of(at, type, rb);					\
												\
		if (first_of(node) <= last && last_of(node) >= first)				\
			return model_tree_is_blind ? NULL : node;				\
	}											\
	return NULL;										\
}												\
storage type *prefix##_iter_first(struct rb_root_cached *root, key first, key last)		\
{												\
	return prefix##_from(root->first, first, last);						\
}												\
storage type *prefix##_iter_next(type *node, key first, key last)				\
{												\
	return prefix##_from(node->rb.next, first, last);					\
}

#endif
