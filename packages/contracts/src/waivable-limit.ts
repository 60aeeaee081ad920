/**
 * Limits of a sandbox that a host may be unable to enforce, and that its operator can do without by name (`--insecure-allow`): `swap`, what a
 * sandbox may swap; `pids`, how many tasks it may have; `seccomp`, which system calls it may make. Without any other the platform can't do its work.
 */
export const WAIVABLE_LIMITS = ["swap", "pids", "seccomp"] as const;
export type WaivableLimit = (typeof WAIVABLE_LIMITS)[number];
