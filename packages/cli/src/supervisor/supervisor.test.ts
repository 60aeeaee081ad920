import { createHash } from "node:crypto";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { settingsWith } from "@berth/config";
import { RedisServer } from "@berth/redis/testing";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { readAdminKey } from "./admin-key.js";
import type { Programs } from "./programs.js";
import { readSupervisorState } from "./state-file.js";
import { Supervisor } from "./supervisor.js";

const STAYS = "setInterval(() => {}, 1000); process.once('SIGTERM', () => process.exit(0));";

let directory: string;
let dataDir: string;
let programs: Programs;
beforeEach(async () => {
	directory = await mkdtemp(join(tmpdir(), "berth-up-"));
	dataDir = await mkdtemp(join(tmpdir(), "berth-data-"));
	const serves = `import { appendFileSync } from "node:fs";
		const name = process.argv[1].split("/").at(-1);
		const { BERTH_ADMIN_KEY_SHA256: admin } = process.env;
		appendFileSync(${JSON.stringify(join(directory, "started"))}, JSON.stringify({ name, admin, args: process.argv.slice(2) }) + "\\n");`;
	programs = {
		prepare: await program("prepare", serves),
		besideDocker: join(directory, "beside-docker.mjs"),
		launcher: await program("launcher", `${serves} if (process.argv.length > 2) process.exit(0); ${ready()} ${STAYS}`),
		worker: await program("worker", `${serves} ${ready()} ${STAYS}`),
		gateway: await program("gateway", `${serves} ${ready({ port: 1 })} ${STAYS}`),
	};
});
afterEach(async () => {
	await rm(directory, { recursive: true });
	await rm(dataDir, { recursive: true });
});

const ready = (more: object = {}) => `console.log('${JSON.stringify({ ready: true, ...more })}');`;

async function program(name: string, text: string): Promise<string> {
	await mkdir(directory, { recursive: true });
	const path = join(directory, `${name}.mjs`);
	await writeFile(path, text);
	return path;
}

interface Started {
	readonly name: string;
	readonly admin?: string;
	readonly args: readonly string[];
}

/** Every program that was started, in order. */
async function started(): Promise<readonly Started[]> {
	const lines = (await readFile(join(directory, "started"), "utf8")).trim().split("\n");
	return lines.map((line) => JSON.parse(line) as Started);
}

/** What the gateway was told of the operator's key, start by start. */
async function toldToGateway(): Promise<readonly (string | undefined)[]> {
	return (await started()).filter(({ name }) => name === "gateway.mjs").map(({ admin }) => admin);
}

function supervisor(env: Readonly<Record<string, string>> = {}, say: (text: string) => void = () => undefined): Supervisor {
	return new Supervisor(settingsWith({ BERTH_DATA_DIR: dataDir }, { BERTH_PORT: "0", ...env }), say, programs);
}

/** Starts a stack, stops it, and gives the key that it showed. */
async function upAndDown(env: Readonly<Record<string, string>> = {}, say?: (text: string) => void): Promise<string | null> {
	const stack = supervisor(env, say);
	try {
		return (await stack.start()).key;
	} finally {
		await stack.stop();
	}
}

const sha256Of = (text: string) => createHash("sha256").update(text).digest("hex");

// Its directories have owners, and the launcher a mount namespace: root's business.
describe.runIf(process.getuid?.() === 0)("the operator's key", () => {
	test("is shown at the first start alone, and is the gateway's at every one", async () => {
		const key = (await upAndDown()) as string;
		expect(await readAdminKey(settingsWith({ BERTH_DATA_DIR: dataDir }, {}).paths)).toBe(key);
		expect(await upAndDown()).toBeNull();
		expect(await toldToGateway()).toEqual([sha256Of(key), sha256Of(key)]);
	});

	test("that got lost is replaced at the next start, which shows the new one", async () => {
		const lost = await upAndDown();
		await rm(join(dataDir, "admin.key"));
		const key = (await upAndDown()) as string;
		expect(key).not.toBe(lost);
		expect((await toldToGateway())[1]).toBe(sha256Of(key));
	});

	test("that others may read is root's alone after the next start, which says so, whoever's key the gateway is told", async () => {
		await upAndDown();
		const path = join(dataDir, "admin.key");
		for (const env of [{}, { BERTH_ADMIN_KEY_SHA256: "a".repeat(64) }]) {
			await chmod(path, 0o644);
			const heard: string[] = [];
			await upAndDown(env, (text) => void heard.push(text));
			expect((await stat(path)).mode & 0o777).toBe(0o600);
			expect(heard).toContainEqual(expect.stringMatching(/admin\.key had mode 644, and has 600 now/));
		}
	});

	test("survives a start that fails: nobody is locked out", async () => {
		await program("gateway", "process.exit(1)");
		await expect(upAndDown()).rejects.toThrow("gateway exited with code 1");
		const kept = (await readAdminKey(settingsWith({ BERTH_DATA_DIR: dataDir }, {}).paths)) as string;
		await program("gateway", `${await readFile(programs.worker, "utf8")}`);
		await upAndDown();
		expect((await started()).at(-1)?.admin).toBe(sha256Of(kept));
	});

	test("of the operator's own is taken as it is, and none is made", async () => {
		expect(await upAndDown({ BERTH_ADMIN_KEY_SHA256: "a".repeat(64) })).toBeNull();
		expect(await toldToGateway()).toEqual(["a".repeat(64)]);
		expect(await readAdminKey(settingsWith({ BERTH_DATA_DIR: dataDir }, {}).paths)).toBeUndefined();
	});

	test("isn't made for a durable Redis that other machines may share: the gateway's first key is kept", async () => {
		await program("gateway", `${ready({ port: 1, firstKey: "berth_first" })} ${STAYS}`);
		await using redis = await RedisServer.start();
		expect(await upAndDown({ BERTH_DURABLE_REDIS_URL: redis.url })).toBe("berth_first");
		expect(await readAdminKey(settingsWith({ BERTH_DATA_DIR: dataDir }, {}).paths)).toBe("berth_first");
	});
});

describe.runIf(process.getuid?.() === 0)("a stack that stops", () => {
	test("after its launcher was killed has the sandboxes removed that it left", async () => {
		const stack = supervisor();
		await stack.start();
		const state = await readSupervisorState(settingsWith({ BERTH_DATA_DIR: dataDir }, {}).paths);
		const launcher = state?.children.find(({ name }) => name === "launcher");
		process.kill(launcher?.pid ?? 0, "SIGKILL");
		await stack.stop();
		expect((await started()).at(-1)).toMatchObject({ name: "launcher.mjs", args: ["--remove-leftovers"] });
	});

	test("in order doesn't look for leftovers: its launcher has removed everything", async () => {
		await upAndDown();
		expect((await started()).filter(({ args }) => args.length > 0)).toEqual([]);
	});
});

describe.runIf(process.getuid?.() === 0)("a start that fails", () => {
	test("of a build that broke off is refused by what is missing, before anything is started", async () => {
		programs = { ...programs, worker: join(directory, "unbuilt.mjs") };
		await expect(supervisor().start()).rejects.toThrow(/unbuilt\.mjs isn't there, which a build makes: run `npm run build`$/);
		await expect(started()).rejects.toThrow("ENOENT");
	});

	test("for its launcher waits for no bases, and says what the launcher said", async () => {
		await program("prepare", `${STAYS}`);
		await program("launcher", "console.error('no OCI runtime'); process.exit(1);");
		await expect(upAndDown()).rejects.toThrow(/launcher exited with code 1.*no OCI runtime/s);
	});

	test("for its bases stops the launcher, and starts no worker", async () => {
		await program("prepare", "console.error('tini is missing'); process.exit(1);");
		await expect(upAndDown()).rejects.toThrow(/prepare exited with code 1.*tini is missing/s);
		expect(new Set((await started()).map(({ name }) => name))).toEqual(new Set(["launcher.mjs"]));
	});
});

describe.runIf(process.getuid?.() === 0)("a start that is refused", () => {
	test("because its port is taken leaves the data directory as it was", async () => {
		const taken = createServer();
		await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
		const { port } = taken.address() as { port: number };
		await expect(upAndDown({ BERTH_PORT: String(port) })).rejects.toThrow(`something else listens on 127.0.0.1:${port}: --port`);
		expect(await readdir(dataDir)).toEqual([]);
		await new Promise((resolve) => taken.close(resolve));
	});
});
