import { existsSync, writeFileSync } from "node:fs";
import { setPriority } from "node:os";

/** Load comes from another machine elsewhere: its generator waits for nothing that it measures. */
const FIRST = -15;

/** 20 ms of CPU, however long that takes. */
export const BURNS = `export default () => {
	const from = process.cpuUsage();
	for (;;) {
		const { user, system } = process.cpuUsage(from);
		if (user + system >= 20_000) return 1;
	}
};
`;

/** Invokes a function of a stack, of the operator's own project or of the one that is named. */
export function requestTo({ url, key }, name, { project, query = "" } = {}) {
	return {
		url: `${url}/v1/functions/${name}/invocations${query}`,
		headers: {
			authorization: `Bearer ${key}`,
			"content-type": "application/json",
			...(project === undefined ? {} : { "berth-project": project }),
		},
		body: "{}",
	};
}

/** What the hostile tenant's function of a kind is called. */
export function hostileName(kind) {
	return `bench-${kind}`;
}

/** Lets some work come before everything else on this machine. */
export async function ranked(work) {
	rank(FIRST);
	try {
		return await work();
	} finally {
		rank(0);
	}
}

/** Of this process, among all: its niceness, and that of its session where sessions are scheduled as groups (sched(7), autogroup). */
function rank(nice) {
	setPriority(nice);
	if (existsSync("/proc/self/autogroup")) writeFileSync("/proc/self/autogroup", String(nice));
}
