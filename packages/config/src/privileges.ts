/**
 * Gives up root for good: called by a process that was started as root to load its modules (a
 * checkout below a private home couldn't be read otherwise), before it does anything else. Does
 * nothing when the process isn't root.
 * @param groups that it stays in
 */
export function dropPrivileges(uid: number, groups: readonly number[] = []): void {
	if (process.geteuid?.() !== 0) return;
	process.setgroups?.([...groups]);
	process.setgid?.(uid);
	process.setuid?.(uid);
}
