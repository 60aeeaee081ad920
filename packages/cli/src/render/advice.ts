import type { ErrorCode } from "@berth/contracts";

/** What a person can do about an error, where its own detail doesn't say it already. */
export const ADVICE: Readonly<Partial<Record<ErrorCode, string>>> = {
	unauthorized: "Give the key with --key or BERTH_API_KEY; as root on the machine of the stack it is found by itself.",
	function_not_found: "`berth list` shows the functions there are.",
	store_unrecovered: "`berth recover` brings them back from the images that are in the store.",
	function_not_ready: "`berth versions <name>` says how far its build is.",
	function_build_failed: "Mend what the build names and deploy again; `berth versions <name>` says how its builds went.",
	build_failed: "Correct the source and deploy again; the version before it goes on serving.",
	build_timed_out: "Deploy again, or deploy less source.",
	too_busy: "Try again in a moment, or send less at a time; `berth stats` shows what waits.",
	queue_full: "Try again later, or let what is queued be done first; `berth stats` shows what waits.",
	storage_full: "Try again later; `berth doctor` says what is full.",
	node_full: "Try again in a moment, or add capacity; `berth stats` shows what waits.",
	handler_error: "The stack above names the line.",
	init_error: "It failed before the handler was reached: look at what it does while it is loaded or started.",
	crashed:
		"`berth logs <id>` has what it logged: `uncaught:` is an error, or a rejected promise, that nobody caught. Else look for process.exit, native modules and signals.",
	out_of_memory: "Deploy it with more memory (`--memory 256`), or let it hold less at a time. /tmp counts too.",
	response_too_large: "Answer with less: 6 MiB at most, and 64 KiB of headers.",
	timed_out: "Deploy it with a longer timeout (`--timeout 60s`), or find what it waits for: nothing is reachable over the network.",
	start_timed_out: "`berth stats` shows the memory in use; `berth doctor` checks the machine.",
	expired_in_queue: "Give it a longer deadline, or look at `berth stats` for what waits.",
	in_doubt:
		"Look for it once Redis is back (`berth invocations inspect`). Background work that is asked for with an idempotency key can be asked for again.",
	worker_lost: "It may have begun. Invoke it again if it may run twice.",
	platform_error: "The logs of the stack are in its data directory, below logs/.",
	unavailable: "`berth doctor` checks the machine; once a server that was away is back, the stack mends itself.",
};
