import { randomBytes } from "node:crypto";
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { invokeWell, median, prewarmedStarts } from "./functions.mjs";
import { sourceWith, tarGz } from "./harness.mjs";

const MB = 1e6;
const FILES = 100;
const SHARING = 10;
const [SMALL, LARGE] = [5, 50];
const VERSION = "1.0.0";

/** Publishes packages that can't be bundled, of incompressible files: 5 MB and 50 MB. */
export function publishPackages(registry) {
	for (const size of [SMALL, LARGE]) {
		const text = () => randomBytes((size * MB * 3) / 4 / FILES).toString("base64");
		const files = Object.fromEntries(Array.from({ length: FILES }, (_, at) => [`data/${at}.txt`, text()]));
		const index = `const { readdirSync, readFileSync } = require("node:fs");
exports.size = ${size};
exports.readAll = () => readdirSync(__dirname + "/data").reduce((sum, name) => sum + readFileSync(__dirname + "/data/" + name).length, 0);`;
		registry.publish({ name: `mb-${size}`, version: VERSION, files: { "index.js": index, ...files } });
	}
}

/**
 * What dependencies cost: building them, using them again, changing code above them, starting with them, sharing them.
 * @param stack the bench's own; its package registry is `registry`
 */
export async function dependencyCosts(client, stack, registry, rounds) {
	const names = [];
	const deploy = async (size, name, code = name) => {
		if (!names.includes(name)) names.push(name);
		const index = `import { size, readAll } from "mb-${size}"; export default (p: any) => (p.read ? readAll() : [size, "${code}"]);`;
		const lock = { [`node_modules/mb-${size}`]: registry.locked(`mb-${size}`, VERSION) };
		const bytes = tarGz(...sourceWith(index, { [`mb-${size}`]: VERSION }, lock));
		// A build sandbox is used once; all that are kept ready are there before it is timed.
		await client.command({ kind: "prewarm", floor: "default" });
		const startedAt = performance.now();
		await client.deployArchive(name, { kind: "tar.gz", bytes });
		return performance.now() - startedAt;
	};
	try {
		const before = await storedBytes(stack);
		const coldMs = await deploy(LARGE, "bench-dependencies-1");
		const oneBytes = (await storedBytes(stack)) - before;
		const cachedMs = await deploy(LARGE, "bench-dependencies-2");
		await deploy(SMALL, "bench-dependencies-small");
		const redeploys = { [SMALL]: [], [LARGE]: [] };
		for (let round = 0; round < rounds; round++) {
			redeploys[SMALL].push(await deploy(SMALL, "bench-dependencies-small", `s${round}`));
			redeploys[LARGE].push(await deploy(LARGE, "bench-dependencies-1", `l${round}`));
		}
		const starts = await startsOf(client, names, rounds);
		const sharedBefore = await storedBytes(stack);
		for (let n = 3; n <= SHARING; n++) await deploy(LARGE, `bench-dependencies-${n}`);
		const sharing = await pageCacheOf(
			client,
			Array.from({ length: SHARING }, (_, n) => `bench-dependencies-${n + 1}`),
		);
		return {
			coldMs,
			cachedMs,
			smallMs: median(redeploys[SMALL]),
			largeMs: median(redeploys[LARGE]),
			...starts,
			oneBytes,
			moreBytes: (await storedBytes(stack)) - sharedBefore,
			...sharing,
			n: rounds,
		};
	} finally {
		for (const name of names) await client.remove(name);
	}
}

/** Prewarmed starts in the worker, with a dependency layer of 50 MB and without one, in turns; medians. */
async function startsOf(client, names, rounds) {
	const [withLayer, without] = ["bench-dependencies-1", "bench-dependencies-none"];
	names.push(without);
	await client.deploy(without, { source: "export default () => 1;" });
	const took = await prewarmedStarts(client, [withLayer, without], rounds);
	return { withLayerMs: median(took[withLayer]), withoutMs: median(took[without]) };
}

/** How much more the kernel holds of files when the others have read all of their packages, too; unpacking may have left the first copy there. */
async function pageCacheOf(client, [first, ...others]) {
	const readBytes = Number((await invokeWell(client, first, { read: true })).raw.body.toString());
	const one = await cachedBytes();
	for (const name of others) await invokeWell(client, name, { read: true });
	return { readBytes, othersCachedBytes: (await cachedBytes()) - one };
}

async function cachedBytes() {
	return Number(/^Cached:\s+(\d+) kB/m.exec(await readFile("/proc/meminfo", "utf8"))[1]) * 1024;
}

/** What images and unpacked layers take on disk. */
async function storedBytes({ dataDir }) {
	let bytes = 0;
	for (const part of ["artifacts/oci", "launcher/layers"]) {
		for (const entry of await readdir(join(dataDir, part), { recursive: true, withFileTypes: true })) {
			if (entry.isFile()) bytes += await blocksOf(join(entry.parentPath, entry.name));
		}
	}
	return bytes;
}

/** What a file takes; nothing when what nobody needs was removed since it was listed. */
async function blocksOf(path) {
	try {
		return (await stat(path)).blocks * 512;
	} catch (error) {
		if (error.code === "ENOENT") return 0;
		throw error;
	}
}
