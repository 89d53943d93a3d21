// SPDX-License-Identifier: GPL-2.0-only
/*
 * Two threads that add to one number without a lock, for some seconds, so that
 * the kernel can be seen to report a race.
 */
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/kthread.h>
#include <linux/module.h>

static unsigned long number;
static struct task_struct *threads[2];

static int racing_thread(void *unused)
{
	while (!kthread_should_stop()) {
		number++;
		cond_resched();
	}
	return 0;
}

static int __init racing_init(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(threads); i++)
		threads[i] = kthread_run(racing_thread, NULL, "racing/%d", i);
	msleep(5000);
	for (i = 0; i < ARRAY_SIZE(threads); i++)
		if (!IS_ERR(threads[i]))
			kthread_stop(threads[i]);
	return 0;
}
module_init(racing_init);

static void __exit racing_exit(void)
{
}
module_exit(racing_exit);

MODULE_DESCRIPTION("A known race for a kernel that reports them");
MODULE_LICENSE("GPL");
