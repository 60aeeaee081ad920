const LEAF = "bench-invoked";
const ASKER = "bench-invoking";
/** Alternately, so that whatever else the machine does comes upon both. */
const PER_TURN = 20;

/** Invokes another function so often, one after the other, and tells how long each took. */
const SOURCE = `export default async ({ name, times }, ctx) => {
	const took = [];
	for (let n = 0; n < times; n++) {
		const before = performance.now();
		await ctx.invoke(name, { n });
		took.push(performance.now() - before);
	}
	return took;
};`;

/**
 * What a function pays that invokes another one, warm, against whoever invokes that one over HTTP.
 * @param {import("@berth/client").Client} client
 * @param {number} turns
 */
export async function invokingCosts(client, turns) {
	try {
		await client.deploy(LEAF, { source: "export default (payload) => payload;" });
		await client.deploy(ASKER, { source: SOURCE });
		const inside = [];
		const http = [];
		for (let turn = -2; turn < turns; turn++) {
			const answer = await client.invoke(ASKER, { json: { name: LEAF, times: PER_TURN } });
			if (answer.outcome !== "succeeded") throw new Error(`${ASKER}: ${answer.problem?.detail}`);
			const over = [];
			for (let n = 0; n < PER_TURN; n++) {
				const before = performance.now();
				await client.invoke(LEAF, { json: { n } });
				over.push(performance.now() - before);
			}
			// The first of a turn finds the function at rest.
			if (turn >= 0) inside.push(...JSON.parse(answer.raw.body.toString()).slice(1));
			if (turn >= 0) http.push(...over.slice(1));
		}
		return { insideMs: median(inside), httpMs: median(http), n: inside.length };
	} finally {
		await Promise.all([LEAF, ASKER].map((name) => client.remove(name).catch(() => undefined)));
	}
}

function median(values) {
	const sorted = [...values].sort((a, b) => a - b);
	return sorted[Math.floor(sorted.length / 2)];
}
