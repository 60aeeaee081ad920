/**
 * Deploys functions for the length of some work, and removes them after it.
 * @param {import("@berth/client").Client} client
 * @param {number} count
 * @param {(index: number) => object} deployOf what each is deployed with
 * @param {(names: string[]) => Promise<unknown>} work
 */
export async function withFunctions(client, count, deployOf, work) {
	const names = [];
	try {
		for (let index = 0; index < count; index++) {
			const name = `bench-many-${index}`;
			names.push(name);
			await client.deploy(name, deployOf(index));
		}
		return await work(names);
	} finally {
		for (const name of names) await client.remove(name);
	}
}

/** Lets `work` handle every item, so many at a time. */
export async function eachOf(items, atATime, work) {
	const left = [...items];
	const lane = async () => {
		for (let item = left.shift(); item !== undefined; item = left.shift()) await work(item);
	};
	await Promise.all(Array.from({ length: atATime }, lane));
}

/** Invokes, and insists on success. @returns the answer */
export async function invokeWell(client, name, payload = { name: "bench" }) {
	const answer = await client.invoke(name, { json: payload });
	if (answer.outcome !== "succeeded") throw new Error(`${name} ended as ${answer.outcome}: ${answer.problem.detail}`);
	return answer;
}

/** What prewarmed starts of functions take in the worker until the first answer, in turns: milliseconds by name. */
export async function prewarmedStarts(client, names, rounds) {
	const took = Object.fromEntries(names.map((name) => [name, []]));
	for (let round = 0; round < rounds; round++) {
		for (const name of names) {
			await client.command({ kind: "evict", function: name });
			await client.command({ kind: "prewarm", floor: "default" });
			const { start, phases } = await client.invocation((await invokeWell(client, name, {})).id);
			if (start === "prewarmed") took[name].push(phases.startMs + phases.initMs + phases.runMs);
		}
	}
	return took;
}

export function median(values) {
	const sorted = values.toSorted((a, b) => a - b);
	return sorted[Math.ceil(sorted.length / 2) - 1];
}
