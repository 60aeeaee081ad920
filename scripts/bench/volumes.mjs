import { invokeWell, median, prewarmedStarts } from "./functions.mjs";

const [VOLUME, WITH, WITHOUT] = ["bench-volume", "bench-with-volume", "bench-without-volume"];
const SIZE_MIB = 64;

/** Prewarmed starts of the same function with a volume and without one, in turns, and what the first use of a volume takes more: it is mounted then. */
export async function volumeCosts(client, rounds) {
	const startedAt = performance.now();
	await client.makeVolume(VOLUME, { sizeMiB: SIZE_MIB });
	const makeMs = performance.now() - startedAt;
	try {
		const source = "export default () => 1;";
		await client.deploy(WITHOUT, { source });
		await client.deploy(WITH, { source, volumes: [{ name: VOLUME }] });
		await client.command({ kind: "prewarm", floor: "default" });
		const { phases } = await client.invocation((await invokeWell(client, WITH, {})).id);
		const took = await prewarmedStarts(client, [WITH, WITHOUT], rounds);
		return {
			makeMs,
			firstMs: phases.startMs + phases.initMs + phases.runMs,
			withMs: median(took[WITH]),
			withoutMs: median(took[WITHOUT]),
			n: rounds,
		};
	} finally {
		for (const name of [WITH, WITHOUT]) await client.remove(name).catch(() => undefined);
		await client.removeVolume(VOLUME);
	}
}
