import { loadSettings } from "@berth/config";
import { MIB } from "@berth/contracts";
import { expect, test } from "vitest";
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
	const fastLine = redisSpec(fast, settings()).args.join(" ");
	expect(fastLine).toContain("--appendfsync everysec");
	// Replies wait for a gateway in what is a part of the same memory.
	expect(fastLine).toContain(`--client-output-buffer-limit pubsub ${32 * MIB} ${16 * MIB} 60`);
	expect(line).toContain("--reuid 64770");
});
