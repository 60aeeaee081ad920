import { eachOf, invokeWell, median, withFunctions } from "./functions.mjs";
import { PLAIN } from "./sources.mjs";

const AT_A_TIME = 4;
const FUNCTIONS = 60;
const BURST = 20;
const PREWARMED = 4;

/** Invocations per second when each is of another function, four at a time: nothing is warm. */
export function sustainedMisses(client) {
	return withFunctions(client, FUNCTIONS, distinct, async (names) => {
		await client.command({ kind: "prewarm", floor: "default" });
		const startedAt = performance.now();
		await eachOf(names, AT_A_TIME, (name) => invokeWell(client, name));
		return { perSecond: (names.length * 1000) / (performance.now() - startedAt), n: names.length };
	});
}

/** Invocations per second of one function whose sandboxes are used once, four at a time. */
export function neverReused(client, seconds) {
	return withFunctions(
		client,
		1,
		() => ({ source: PLAIN, reuse: "never" }),
		async ([name]) => {
			await client.command({ kind: "prewarm", floor: "default" });
			const startedAt = performance.now();
			const until = startedAt + seconds * 1000;
			let count = 0;
			const lane = async () => {
				while (performance.now() < until) {
					await invokeWell(client, name);
					count++;
				}
			};
			await Promise.all(Array.from({ length: AT_A_TIME }, lane));
			return { perSecond: (count * 1000) / (performance.now() - startedAt), n: count };
		},
	);
}

/** Milliseconds until as many invocations of cold functions, sent at once, are all answered, with few sandboxes prewarmed. */
export async function simultaneousStarts(client, rounds) {
	const took = [];
	for (let round = 0; round < rounds; round++) {
		await withFunctions(
			client,
			BURST,
			(index) => distinct(index, round),
			async (names) => {
				await client.command({ kind: "prewarm", floor: PREWARMED });
				const startedAt = performance.now();
				await Promise.all(names.map((name) => invokeWell(client, name)));
				took.push(performance.now() - startedAt);
			},
		);
	}
	await client.command({ kind: "prewarm", floor: "default" });
	return { ms: median(took), n: rounds };
}

function distinct(index, round = 0) {
	return { source: `${PLAIN}globalThis.berthBench = "${process.pid}-${round}-${index}";\n` };
}
