import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadSettings } from "@berth/config";
import { MIB } from "@berth/contracts";
import { RedisServer } from "@berth/redis/testing";
import { expect, test } from "vitest";
import { embeddedRedisOf, redisSpec } from "./redis.js";

const FILES = join(import.meta.dirname, "../../../../infra/redis");
/** Where a server listens and writes to: each one's own. */
const PLACE = ["port", "bind", "protected-mode", "unixsocket", "unixsocketperm", "dir", "logfile", "daemonize"];
/** Of a machine with so much, the embedded servers take what the files say. */
const MACHINE_BYTES = 64 * 1024 * MIB;

type Options = readonly (readonly [name: string, ...values: string[]])[];

/** What the embedded server is told on its command line, without its place. */
function embeddedOptions(index: number): Options {
	const settings = loadSettings({ BERTH_DATA_DIR: "/var/lib/berth" });
	const redis = embeddedRedisOf(settings, MACHINE_BYTES)[index];
	if (redis === undefined) expect.unreachable();
	const { args } = redisSpec(redis, settings);
	const options: [string, ...string[]][] = [];
	for (const arg of args.slice(args.indexOf("redis-server") + 1))
		arg.startsWith("--") ? options.push([arg.slice(2)]) : options.at(-1)?.push(arg);
	return options.filter(([name]) => !PLACE.includes(name));
}

/** What a server makes of its options, by name. */
async function taken(names: readonly string[], ...options: readonly string[]): Promise<ReadonlyMap<string, unknown>> {
	await using server = await RedisServer.start(...options);
	return await server.client(async (redis) => {
		const found = new Map<string, unknown>();
		for (const name of names) found.set(name, ((await redis.call("CONFIG", "GET", name)) as unknown[])[1]);
		return found;
	});
}

test.each([
	["durable.conf", 0],
	["fast.conf", 1],
] as const)("infra/redis/%s is read by a server, and means what the embedded one is told", async (file, index) => {
	const directory = mkdtempSync(join(tmpdir(), "berth-redis-conf-"));
	try {
		const text = readFileSync(join(FILES, file), "utf8");
		const own = [...text.matchAll(/^([a-z-]+) /gm)].map(([, name]) => name as string).filter((name) => !PLACE.includes(name));
		const embedded = embeddedOptions(index);
		const names = embedded.map(([name]) => name);
		expect(new Set(own)).toEqual(new Set(names));
		const path = join(directory, "redis.conf");
		writeFileSync(path, text.replace(/^dir .*$/m, `dir ${directory}`).replace(/^port .*$/m, "port 0"));
		const told = embedded.flatMap(([name, ...values]) => [`--${name}`, ...values]);
		expect(await taken(names, "--include", path)).toEqual(await taken(names, ...told));
	} finally {
		rmSync(directory, { recursive: true });
	}
});
