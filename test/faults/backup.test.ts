import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { eventually } from "../harness/eventually.js";
import { deploy } from "../harness/functions.js";
import { Stack } from "../harness/stack.js";

const SMALL = { BERTH_PREWARMED: "0", BERTH_PREWARMED_BUILDS: "1", BERTH_PACKAGE_REGISTRIES: "https://npm.example.com" };
const saying = (text: string) => `export default () => "${text}";`;

let place: string;
let stack: Stack;
beforeAll(async () => {
	place = await mkdtemp(join(tmpdir(), "backup-"));
	stack = await Stack.start(SMALL);
});
afterAll(async () => {
	await stack?.stop();
	await rm(place, { recursive: true, force: true });
});

it("everything is saved while the stack runs, and answers as before on a machine that had nothing", async () => {
	const large = "x".repeat(200_000);
	await deploy(stack, { name: "greets", source: saying("one") });
	await deploy(stack, { name: "greets", source: saying("two"), memoryMiB: 64 });
	await stack.client.setAlias("greets", "canary", { weights: { 1: 40, 2: 60 } });
	await stack.client.setPackageRegistry("npm.example.com", { scopes: ["@mine"], token: "sealed" });
	await stack.client.makeHook("greets", { scheme: "github" });
	await deploy(stack, { name: "big", source: `export default () => "${large}";` });
	const { id } = await stack.client.invokeAsync("big", { json: {} });
	await eventually(async () => expect((await stack.client.invocation(id)).state).toBe("settled"));
	// Its body is a file of its own until it is settled: it runs while everything is saved, and again where that is restored.
	await deploy(stack, {
		name: "waits",
		source: "export default async (text) => { await new Promise((done) => setTimeout(done, 4000)); return text.length; };",
	});
	const waiting = await stack.client.invokeAsync("waits", { json: large });
	const [versions, aliases] = await Promise.all([stack.client.versions("greets"), stack.client.aliases("greets")]);

	// Deploys go on meanwhile: what is acknowledged before it is in it, whole.
	const deploys = deploy(stack, { name: "meanwhile", source: saying("meanwhile") });
	const file = join(place, "all.tar");
	const saved = await stack.berth("backup", file, "--json");
	expect([saved.code, saved.stderr]).toEqual([0, ""]);
	await deploys;
	expect(await stack.berth("backup", file)).toMatchObject({ code: 1, stderr: expect.stringContaining("is there already") });
	const refusal = await stack.berth("restore", file);
	expect(refusal).toMatchObject({ code: 1, stderr: expect.stringContaining("a stack is up already") });

	await using other = await Stack.start(SMALL);
	await other.down();
	expect(await other.berth("restore", file)).toMatchObject({ code: 1, stderr: expect.stringContaining("--force") });
	// Keys aren't in it: those of the machine stay, and don't open what was sealed with others.
	expect(await other.berth("restore", "--force", file)).toMatchObject({
		code: 0,
		stdout: expect.stringContaining("are restored"),
		stderr: expect.stringMatching(
			/no key here opens: the login at npm\.example\.com \(project default\), the secret of the hook github of greets \(project default\)\. It is sealed with the key \w{8}, and \S+\/secrets\.key has \w{8}: add that key to it/,
		),
	});
	await other.up();
	expect((await other.client.packageRegistries()).registries).toMatchObject([{ host: "npm.example.com", login: "token" }]);
	expect(await other.client.hooks("greets")).toMatchObject([{ scheme: "github" }]);
	expect(await other.client.versions("greets")).toEqual(versions);
	expect(await other.client.aliases("greets")).toEqual(aliases);
	expect((await other.client.invoke("greets")).raw.body.toString()).toBe("two");
	expect(String(await other.client.source("greets", 1))).toBe(saying("one"));
	expect((await other.client.invocation(id)).result).toMatchObject({ text: large });
	expect((await deploy(other, { name: "greets", source: saying("three") })).version.number).toBe(3);
	await eventually(async () =>
		expect(await other.client.invocation(waiting.id)).toMatchObject({ outcome: "succeeded", result: { json: 200_000 } }),
	);
	const down = JSON.parse((await other.berth("recover", "--json")).stdout);
	expect(down.lost).toEqual([]);
});

it("a backup that is damaged, too new or none is refused, and nothing is changed", async () => {
	const whole = join(place, "whole");
	expect(await stack.berth("backup", whole)).toMatchObject({ code: 0 });
	await stack.down();
	const contents = async () => {
		const names = await readdir(stack.dataDir, { recursive: true });
		return names.filter((name) => /^(?:redis|artifacts|admin)/.test(name)).sort();
	};
	const before = await contents();
	const spoilt = async (file: string, spoil: (text: Buffer) => string | Buffer) => {
		const path = join(whole, file);
		const was = await readFile(path);
		await writeFile(path, spoil(was));
		const { code, stderr } = await stack.berth("restore", "--force", whole);
		await writeFile(path, was);
		expect(code).toBe(1);
		return stderr;
	};
	const rdb = "files/durable.rdb";
	expect(await spoilt(rdb, (bytes) => bytes.fill(0, 100, 110))).toMatch(/the bytes of durable.rdb aren't those that were saved/);
	const newer = (text: Buffer) => JSON.stringify({ ...JSON.parse(String(text)), format: 99 });
	expect(await spoilt("backup.json", newer)).toMatch(/format 99, and this Berth reads 1/);
	expect(await stack.berth("restore", "--force", "/etc/hostname")).toMatchObject({
		code: 1,
		stderr: expect.stringContaining("can't be read as a backup"),
	});
	expect(await contents()).toEqual(before);
	await stack.up();
	expect((await stack.client.invoke("greets")).raw.body.toString()).toBe("two");
});
