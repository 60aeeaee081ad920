/** Every attack that Berth is held to, by group, with what must be seen. A row for each is in `attacks/`, and docs/attacks.md is made of both. */
export const LIST = {
	Resources: {
		"a loop without an end": "`timed_out`: killed from outside, as the agent can't answer any more",
		"fork bomb": "EAGAIN at the cap of tasks, no survivor",
	},
	Isolation: {
		AF_ALG: "no socket of the kernel's cryptography",
	},
} as const;
