import { newId } from "@berth/contracts";
import { describe, expect, test } from "vitest";
import { environmentOf } from "./environment.js";
import { loadSettings } from "./settings.js";
import { SettingsError } from "./settings-error.js";
import { userSettings } from "./user-settings.js";

/** What is said about these variables. */
function complaint(env: Record<string, string>): string {
	try {
		loadSettings(env);
	} catch (error) {
		expect(error).toBeInstanceOf(SettingsError);
		return (error as Error).message;
	}
	return "none";
}

test("with nothing said there is a default for everything, and it doesn't listen beyond this machine", () => {
	const settings = loadSettings({});
	expect(settings).toMatchObject({ host: "127.0.0.1", port: 8080, dataDir: "/var/lib/berth", embedded: { durable: true, fast: true } });
	expect(settings.durableRedisUrl).toBe("unix:///var/lib/berth/run/durable.sock");
	expect(Object.isFrozen(settings) && Object.isFrozen(settings.paths)).toBe(true);
});

test("an empty variable counts as absent, a set one wins over the default", () => {
	expect(loadSettings({ BERTH_PORT: "", BERTH_HOST: "", BERTH_FAST_REDIS_URL: "" })).toMatchObject({
		port: 8080,
		embedded: { fast: true },
	});
	expect(loadSettings({ BERTH_PORT: "9000", BERTH_MEMORY_MIB: "512" })).toMatchObject({ port: 9000, memoryBudgetBytes: 512 * 1024 * 1024 });
});

describe("a wrong setting is named with its value and what is allowed", () => {
	test.each([
		[{ BERTH_PORT: "80x" }, /^BERTH_PORT is "80x": a whole number from 0 to 65535$/],
		[{ BERTH_PORT: "70000" }, /^BERTH_PORT is "70000": at most 65535$/],
		[{ BERTH_PREWARMED: "-1" }, /^BERTH_PREWARMED is "-1": at least 0$/],
		[{ BERTH_MAX_INFLIGHT: "1.5" }, /^BERTH_MAX_INFLIGHT is "1.5": a whole number/],
		[{ BERTH_DATA_DIR: "relative" }, /^BERTH_DATA_DIR is "relative": an absolute path$/],
		[{ BERTH_DATA_DIR: `/${"d".repeat(80)}` }, /at most 64 bytes: sockets/],
		[{ BERTH_INSECURE_ALLOW: "swap,foo" }, /^BERTH_INSECURE_ALLOW is "swap,foo": "foo" isn't one of swap, pids, seccomp;/],
		[{ BERTH_TRUSTED_PROXIES: "10.0.0.0/8, ten" }, /: "ten" is no address or network: /],
		[{ BERTH_CALLBACK_HOSTS: "a.example, b/c" }, /: "b\/c" is no host: /],
		[{ BERTH_LOG_LEVEL: "loud" }, /^BERTH_LOG_LEVEL is "loud": .*"debug"/],
		[{ BERTH_ADMIN_KEY_SHA256: "abc" }, /64 hex digits/],
	])("%j", (env, message) => expect(complaint(env)).toMatch(message));

	test("all of them at once", () => {
		expect(complaint({ BERTH_PORT: "x", BERTH_IDLE_TTL_MS: "1" }).split("\n")).toHaveLength(2);
	});

	test("but a URL with its password isn't shown", () => {
		const message = complaint({ BERTH_DURABLE_REDIS_URL: "http://user:hunter2@host" });
		expect(message).toMatch(
			/^BERTH_DURABLE_REDIS_URL: redis:\/\/host, rediss:\/\/host, redis\+sentinel:\/\/host:port,host:port\/name or unix:\/\/\/path$/,
		);
	});

	test.each([
		"redis+sentinel://:p@a:26379,b,[::1]:26380/berth/1",
		"redis://localhost",
		"rediss://u:p@host:6380/2",
		"unix:///run/redis.sock?db=1",
	])("%s is a Redis", (url) => {
		expect(loadSettings({ BERTH_FAST_REDIS_URL: url })).toMatchObject({ fastRedisUrl: url, embedded: { fast: false } });
	});
});

describe("registries", () => {
	test("are hosts, some with a login, and reach another process as they are", () => {
		const settings = loadSettings({ BERTH_REGISTRIES: "https://ghcr.io, http://me:a%2Cb%3A%2F@127.0.0.1:5000" });
		expect(settings.registries).toEqual([
			{ host: "ghcr.io", origin: "https://ghcr.io" },
			{ host: "127.0.0.1:5000", origin: "http://127.0.0.1:5000", login: { username: "me", password: "a,b:/" } },
		]);
		expect(loadSettings(environmentOf(settings)).registries).toEqual(settings.registries);
		expect(loadSettings({}).registries).toEqual([]);
	});

	test.each(["ghcr.io", "https://me@host", "https://me:hunter2@host/path", "ftp://host", "https://me:%zz@host", "https://a,,https://b"])(
		"%s is refused, and no password shown",
		(text) => {
			const message = complaint({ BERTH_REGISTRIES: text });
			expect(message).toMatch(/^BERTH_REGISTRIES: https:\/\/host or http:\/\/host/);
			expect(message).not.toContain("hunter2");
		},
	);
});

test.each([
	["BERTH_PREWARM", "; did you mean BERTH_PREWARMED?"],
	["BERTH_REDIS_URL", "; did you mean BERTH_DURABLE_REDIS_URL or BERTH_FAST_REDIS_URL?"],
	["BERTH_NETWORK", "; did you mean BERTH_HOST_NETWORK?"],
	["BERTH_REGISTRY", "; did you mean BERTH_REGISTRIES or BERTH_NPM_REGISTRY?"],
	["BERTH_ANYTHING", "; docs/settings.md lists those there are"],
])("%s is an error: whoever sets it believes that it does something", (name, rest) => {
	expect(complaint({ [name]: "8" })).toBe(`${name}: there is no such setting${rest}`);
});

test("what the command line and the supervisor read is no misspelt setting, nor is a variable of somebody else's", () => {
	expect(complaint({ BERTH_API_KEY: "x", BERTH_URL: "y", BERTH_SUPERVISED: "1", BERTH_LISTEN_FDS: "3", PREWARMED: "2", BERTHA: "3" })).toBe(
		"none",
	);
});

test("what a person's environment says; an empty variable counts as absent", () => {
	expect(userSettings({ BERTH_URL: "", BERTH_API_KEY: "k", NO_COLOR: "1" })).toEqual({ key: "k", noColour: true });
	expect(userSettings({})).toEqual({ noColour: false });
});

test("the longest data directory leaves room for the longest socket's name (sun_path holds 107 bytes and a NUL)", () => {
	const { agentSockets } = loadSettings({ BERTH_DATA_DIR: `/${"x".repeat(63)}` }).paths;
	expect(Buffer.byteLength(`${agentSockets}/${newId("sb")}.sock`)).toBeLessThanOrEqual(107);
	expect(() => loadSettings({ BERTH_DATA_DIR: `/${"x".repeat(64)}` })).toThrow("at most 64 bytes");
});

describe("the payload store", () => {
	test("is a bucket with its key, of Amazon's or of another, and survives into a child", () => {
		const settings = loadSettings({
			BERTH_PAYLOAD_STORE: "s3://AKIA%2F1:se%40cret@berth-data/team/a?endpoint=http://127.0.0.1:9000&region=eu-1",
		});
		expect(settings.payloadStore).toEqual({
			endpoint: "http://127.0.0.1:9000",
			region: "eu-1",
			bucket: "berth-data",
			prefix: "team/a/",
			accessKeyId: "AKIA/1",
			secretAccessKey: "se@cret",
		});
		expect(loadSettings(environmentOf(settings)).payloadStore).toEqual(settings.payloadStore);
		expect(loadSettings({ BERTH_PAYLOAD_STORE: "s3://k:s@data?region=eu-central-1" }).payloadStore).toMatchObject({
			endpoint: "https://s3.eu-central-1.amazonaws.com",
			prefix: "",
		});
		expect(loadSettings({}).payloadStore).toBeUndefined();
	});

	test.each([
		"s3://bucket/prefix",
		"https://k:s@bucket/prefix",
		"s3://k:s@Bucket_/x",
		"s3://k:s@bucket/a/../b c",
		"s3://k:s@bucket?endpoint=http://host/path",
		"s3://k:s@bucket?zone=1",
		"s3://k:%zz@bucket",
	])("that is written %s is refused, and not shown", (text) => {
		expect(() => loadSettings({ BERTH_PAYLOAD_STORE: text })).toThrow(/^BERTH_PAYLOAD_STORE: s3:\/\/KEY:SECRET@bucket\/prefix/);
	});
});
