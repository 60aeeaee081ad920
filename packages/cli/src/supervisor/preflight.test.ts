import { chmod, mkdtemp, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { loadSettings } from "@berth/config";
import { RedisServer } from "@berth/redis/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { preflight } from "./preflight.js";

let root: string;
beforeAll(async () => {
	root = await mkdtemp("/var/tmp/preflight-");
	await chmod(root, 0o755);
});
afterAll(() => rm(root, { recursive: true }));

test.each([
	[{ BERTH_ENGINE: "docker", BERTH_DOCKER_SOCKET: "/nope" }, "There is no Docker Engine at /nope. Start it"],
	[{ BERTH_OCI_RUNTIME: "/nonexist" }, "There is no /nonexist. Install it, or set BERTH_OCI_RUNTIME to"],
	[{ BERTH_RUNSC: "/nonexist" }, "There is no /nonexist. Set BERTH_RUNSC to"],
	[{ BERTH_RUNSC: "/bin/true" }, "/bin/true isn't gVisor's runsc. Set BERTH_RUNSC to"],
	[{ BERTH_EGRESS_CA_FILE: "/nonexist" }, "BERTH_EGRESS_CA_FILE: /nonexist can't be read: there is no such file. Mend"],
	[{ BERTH_EGRESS_CA_FILE: "/etc/hostname" }, "/etc/hostname (BERTH_EGRESS_CA_FILE) has no certificate in PEM"],
	[{ BERTH_EGRESS_CA_FILE: "/root/.." }, "BERTH_EGRESS_CA_FILE: /root/.. can't be read: it is a directory"],
	[{ BERTH_TLS_CERT: "/etc/hostname", BERTH_TLS_KEY: "/etc/hostname" }, "/etc/hostname (BERTH_TLS_CERT) has no certificate in PEM"],
	[{ BERTH_BINDS: "x=/nosuchdir" }, "BERTH_BINDS names /nosuchdir as x, which isn't there. Mend BERTH_BINDS"],
	[{ BERTH_BINDS: "x=/etc/hostname" }, "BERTH_BINDS names /etc/hostname as x, which is no directory."],
	[{ BERTH_BINDS: "x=/var" }, "BERTH_BINDS names /var as x, in which functions would find Berth's data directory, /var/tmp/"],
	[{ BERTH_OCI_RUNTIME: "/bin/true" }, "/bin/true is no OCI runtime"],
	[{ BERTH_DURABLE_REDIS_URL: "redis://:secret@127.0.0.1:1" }, "durable Redis: redis://127.0.0.1:1 can't be used: connect ECONNREFUSED"],
])("a start with %j is refused in a sentence that says what to do", async (env, said) => {
	const refused = preflight(loadSettings({ BERTH_DATA_DIR: join(root, "data"), BERTH_PORT: "0", ...env }), () => undefined);
	await expect(refused).rejects.toThrow(said);
	await expect(refused).rejects.toMatchObject({ name: "CommandFailure" });
	// Before anything is made for it.
	expect(await readdir(root)).toEqual([]);
});

test.each([
	[
		"durable",
		["--maxmemory-policy", "allkeys-lru"],
		"durable Redis: memory: maxmemory-policy is allkeys-lru: when it is full it throws away",
	],
	["fast", ["--maxmemory-policy", "volatile-ttl"], "fast Redis: memory: maxmemory-policy is volatile-ttl"],
	["durable", ["--appendonly", "no"], "durable Redis: durability: appendonly is off"],
])(
	"a %s Redis of the operator's with %j refuses a start, of a gateway alone, too: by the cause, and what to do",
	async (role, options, said) => {
		await using redis = await RedisServer.start(...options);
		const env = { BERTH_DATA_DIR: join(root, "data"), BERTH_PORT: "0", [`BERTH_${role.toUpperCase()}_REDIS_URL`]: redis.url };
		for (const settings of [loadSettings(env), { ...loadSettings(env), roles: ["gateway"] as const }])
			await expect(preflight(settings, () => undefined)).rejects.toThrow(said);
		expect(await readdir(root)).toEqual([]);
	},
);

test.each([
	["durable", ["--replicaof", "127.0.0.1", "1"], "It is a replica of 127.0.0.1:1, and writes are refused"],
	["fast", ["--min-replicas-to-write", "1"], "It takes no writes: NOREPLICAS"],
	["durable", ["--maxmemory", "1"], "It takes no writes: OOM"],
])(
	"a %s Redis of the operator's with %j, which may pass by itself, is warned of: a machine that starts meanwhile isn't down for good",
	async (role, options, said) => {
		await using redis = await RedisServer.start(...options);
		const env = { BERTH_DATA_DIR: join(root, "data"), BERTH_PORT: "0", [`BERTH_${role.toUpperCase()}_REDIS_URL`]: redis.url };
		const heard: string[] = [];
		await preflight({ ...loadSettings(env), roles: ["gateway"] }, (text) => void heard.push(text));
		expect(heard).toEqual([expect.stringContaining(`warning: ${role} Redis: writes: ${said}`)]);
	},
);

test("a machine without the key that a stack's machines seal with is told where to copy it from, and not to make another while one of them is up, before anything is made", async () => {
	await using redis = await RedisServer.start();
	const shared = {
		BERTH_DURABLE_REDIS_URL: redis.url,
		BERTH_FAST_REDIS_URL: redis.url,
		BERTH_PAYLOAD_STORE: "s3://key:secret@bucket/?region=r&endpoint=http://127.0.0.1:1",
		BERTH_REGISTRIES: "http://127.0.0.1:1",
		BERTH_IMAGE_REPOSITORY: "127.0.0.1:1/berth",
		BERTH_INTERNAL_HOST: "127.0.0.1",
		BERTH_ROLES: "gateway",
	};
	const own = { BERTH_DATA_DIR: join(root, "data"), BERTH_PORT: "0" };
	const told = (env: Readonly<Record<string, string>>) =>
		preflight(loadSettings({ ...own, ...env }), () => undefined).then(
			() => "nothing",
			(error: Error) => error.message,
		);
	expect(await told(shared)).toMatch(/BERTH_SECRETS_KEY isn't set, and \S+secrets\.key is missing: copy .*for a new stack, make one/);
	const servers = { BERTH_DURABLE_REDIS_URL: redis.url, BERTH_FAST_REDIS_URL: redis.url };
	expect(await told(servers)).toBe("nothing");
	await redis.client(async (client) => {
		const shares = { machine: "node_1" };
		await client
			.multi()
			.sadd("berth:nodes", "node_1")
			.set("berth:node:node_1", JSON.stringify({ id: "node_1", host: "alpha", shares }))
			.exec();
		const gateways = ["gw_1", "gw_2", "gw_gone"];
		await client.sadd("berth:gateways", ...gateways);
		await client.set("berth:gateway:gw_1", JSON.stringify({ id: "gw_1", address: "10.0.0.1:8081", shares }));
		await client.set("berth:gateway:gw_2", JSON.stringify({ id: "gw_2", address: "10.0.0.2:8081", shares: { machine: "node_2" } }));
	});
	const copy =
		/secrets\.key is missing: the stack is up on 10\.0\.0\.2, alpha; copy the key of a machine .* secrets\.key in its data directory .*\/data\/secrets\.key/;
	// One that isn't set up to have others beside it, too: it would make a key of its own.
	for (const env of [shared, servers]) {
		expect(await told(env)).toMatch(copy);
		expect(await told(env)).not.toMatch(/openssl|make/);
	}
	expect(await readdir(root)).toEqual([]);
	expect(await told({ ...shared, BERTH_SECRETS_KEY: "ab".repeat(32) })).toBe("nothing");
});

test("one of the operator's that may lose a second of what was accepted, or that grows without a bound, doesn't", async () => {
	await using redis = await RedisServer.start("--appendfsync", "everysec");
	const env = { BERTH_DATA_DIR: join(root, "data"), BERTH_PORT: "0", BERTH_DURABLE_REDIS_URL: redis.url, BERTH_FAST_REDIS_URL: redis.url };
	await expect(preflight(loadSettings(env), () => undefined)).resolves.toBeUndefined();
});

test("a burst without a rate, which bounds nothing, is warned of", async () => {
	const heard = async (env: Readonly<Record<string, string>>) => {
		const said: string[] = [];
		await preflight(loadSettings({ BERTH_DATA_DIR: join(root, "data"), BERTH_PORT: "0", ...env }), (text) => void said.push(text));
		return said;
	};
	expect(await heard({ BERTH_QUOTA_BURST: "3" })).toEqual([
		expect.stringMatching(/^warning: BERTH_QUOTA_BURST .* BERTH_QUOTA_REQUESTS_PER_SECOND/),
	]);
	expect(await heard({ BERTH_QUOTA_BURST: "3", BERTH_QUOTA_REQUESTS_PER_SECOND: "1" })).toEqual([]);
});

test("where all of it is there, nothing is in the way", () =>
	expect(preflight(loadSettings({ BERTH_DATA_DIR: join(root, "data"), BERTH_PORT: "0" }), () => undefined)).resolves.toBeUndefined());
