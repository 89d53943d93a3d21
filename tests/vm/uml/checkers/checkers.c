// SPDX-License-Identifier: GPL-2.0-only
/*
 * Commits one known fault when it is loaded, so that the checkers of a debug
 * kernel can be seen to report it.
 */
#include <linux/kmemleak.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>

static char *fault = "";
module_param(fault, charp, 0);
MODULE_PARM_DESC(fault, "leak, sleep, deadlock or use-after-free");

static DEFINE_MUTEX(lock_a);
static DEFINE_MUTEX(lock_b);

static noinline void leak_memory(void)
{
	void *lost[16];
	int i;

	/* Several, because a stale copy of one pointer on a stack hides it. */
	for (i = 0; i < ARRAY_SIZE(lost); i++)
		lost[i] = kmalloc(200, GFP_KERNEL);
	memset(lost, 0, sizeof(lost));
	barrier_data(lost);
}

static noinline void sleep_in_atomic(void)
{
	preempt_disable();
	might_sleep();
	preempt_enable();
}

static noinline void invert_locks(void)
{
	mutex_lock(&lock_a);
	mutex_lock(&lock_b);
	mutex_unlock(&lock_b);
	mutex_unlock(&lock_a);

	mutex_lock(&lock_b);
	mutex_lock(&lock_a);
	mutex_unlock(&lock_a);
	mutex_unlock(&lock_b);
}

static noinline void checkers_use_after_free(void)
{
	char *gone = kmalloc(200, GFP_KERNEL);

	if (!gone)
		return;
	OPTIMIZER_HIDE_VAR(gone);
	kfree(gone);
	WRITE_ONCE(gone[100], 1);
}

static int __init checkers_init(void)
{
	if (!strcmp(fault, "leak"))
		leak_memory();
	else if (!strcmp(fault, "sleep"))
		sleep_in_atomic();
	else if (!strcmp(fault, "deadlock"))
		invert_locks();
	else if (!strcmp(fault, "use-after-free"))
		checkers_use_after_free();
	else
		return -EINVAL;
	return 0;
}
module_init(checkers_init);

static void __exit checkers_exit(void)
{
}
module_exit(checkers_exit);

MODULE_DESCRIPTION("Known faults for the checkers of a debug kernel");
MODULE_LICENSE("GPL");
