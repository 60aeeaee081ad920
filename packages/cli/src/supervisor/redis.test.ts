import { createServer } from "node:net";
import { loadSettings } from "@berth/config";
import { MIB } from "@berth/contracts";
import { expect, test } from "vitest";
import { listenObstacle } from "./port.js";
import { embeddedRedisOf, redisSpec } from "./redis.js";

const settings = (env: Record<string, string> = {}) => loadSettings({ BERTH_DATA_DIR: "/var/lib/berth", ...env });

test("a server that a setting names isn't ours to run", () => {
	const names = (env: Record<string, string>) => embeddedRedisOf(settings(env)).map(({ name }) => name);
	expect(names({})).toEqual(["redis-durable", "redis-fast"]);
	expect(names({ BERTH_DURABLE_REDIS_URL: "redis://h" })).toEqual(["redis-fast"]);
	expect(names({ BERTH_DURABLE_REDIS_URL: "redis://h", BERTH_FAST_REDIS_URL: "redis://h" })).toEqual([]);
});

test("ours evict nothing, have a bound, no port, and the durable one has on disk what it acknowledges", () => {
	const [durable, fast] = embeddedRedisOf(settings(), 1024 * MIB);
	if (durable === undefined || fast === undefined) expect.unreachable();
	const line = redisSpec(durable, settings()).args.join(" ");
	for (const part of [
		"--port 0",
		"--maxmemory-policy noeviction",
		"--appendonly yes",
		"--appendfsync always",
		`--maxmemory ${128 * MIB}`,
	]) {
		expect(line).toContain(part);
	}
	expect(redisSpec(fast, settings()).args.join(" ")).toContain("--appendfsync everysec");
	expect(line).toContain("--reuid 64770");
});

test("an address that is taken is named, a free one is not", async () => {
	const server = createServer();
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	const { port } = server.address() as { port: number };
	expect(await listenObstacle("127.0.0.1", port)).toBe(`something else listens on 127.0.0.1:${port}`);
	await new Promise((resolve) => server.close(resolve));
	expect(await listenObstacle("127.0.0.1", port)).toBeUndefined();
	expect(await listenObstacle("192.0.2.1", 80)).toContain("192.0.2.1:80 can't be had");
});
