import { median } from "./functions.mjs";
import { FETCH } from "./sources.mjs";

const NAME = "bench-redeploy";

/** Milliseconds from sending a source to hearing that it is ready: changed each time, and the same again. */
export async function redeploys(client, rounds) {
	const changed = [];
	const identical = [];
	const timed = async (into, source) => {
		const startedAt = performance.now();
		await client.deploy(NAME, { source });
		into.push(performance.now() - startedAt);
	};
	try {
		await client.deploy(NAME, { source: FETCH });
		for (let round = 0; round < rounds; round++) {
			const source = `${FETCH}globalThis.berthBench = "${process.pid}-${round}";\n`;
			await timed(changed, source);
			await timed(identical, source);
			// A build sandbox is used once; the next one is there again before the next round.
			await client.command({ kind: "prewarm", floor: "default" });
		}
	} finally {
		await client.remove(NAME);
	}
	return { changedMs: median(changed), identicalMs: median(identical), n: rounds };
}
