import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { StoredLogLine } from "@berth/contracts";
import { afterAll, beforeAll, expect, it } from "vitest";
import { tarGz } from "../harness/archives.js";
import { freshName } from "../harness/functions.js";
import { PackageRegistry, sourceWith } from "../harness/package-registry.js";
import { Stack } from "../harness/stack.js";

let registry: PackageRegistry;
let stack: Stack;
beforeAll(async () => {
	registry = await PackageRegistry.open();
	for (const name of ["one", "two", "three"])
		registry.publish({ name, version: "1.0.0", files: { "index.js": `module.exports = "${name}";` } });
	stack = await Stack.start({ BERTH_PREWARMED: "0", BERTH_NPM_REGISTRY: registry.url });
});
afterAll(async () => {
	await stack?.stop();
	await registry?.[Symbol.asyncDispose]();
});

/** A function of one package, whose code is like no other's. */
function archiveOf(name: string, code = freshName()) {
	const lock = { [`node_modules/${name}`]: registry.locked(name, "1.0.0") };
	return {
		kind: "tar.gz",
		bytes: tarGz(...sourceWith(`import it from '${name}'; export default () => [it, '${code}'];`, { [name]: "1.0.0" }, lock)),
	} as const;
}

const followed = async (name: string, number: number) => {
	const lines: StoredLogLine[] = [];
	const end = await stack.client.followBuild(name, number, { onLine: (line) => lines.push(line) });
	return { end, lines, texts: lines.map(({ text }) => text) };
};

it("says what a build does: layers made and found, what was fetched and unpacked, how it ended", async () => {
	const [first, second] = [freshName(), freshName()];
	const { version } = await stack.client.deployArchive(first, archiveOf("one"), { wait: false });
	const { end, texts } = await followed(first, version.number);
	expect(end).toEqual({ state: "ready" });
	expect(texts).toEqual([
		"queued",
		"building",
		expect.stringMatching(/^layer runtime cached \(.* MiB\)$/),
		expect.stringMatching(/^layer agent cached/),
		expect.stringMatching(/^reading the source/),
		"installing the dependencies",
		expect.stringMatching(/^asked the registry 1 times, got \d+ B in/),
		expect.stringMatching(/^unpacked \d+ files/),
		expect.stringMatching(/^layer dependencies installed/),
		expect.stringMatching(/^unpacked in \d+ ms, bundled in \d+ ms/),
		expect.stringMatching(/^layer code built/),
		expect.stringMatching(/^ready in \d+ ms: sha256:/),
	]);
	await stack.client.deployArchive(second, archiveOf("one"));
	expect((await followed(second, 1)).texts).toContainEqual(expect.stringMatching(/^layer dependencies cached/));
});

it("goes on where a worker was killed: another ends the build, and who watched sees it to the end", async () => {
	const asked = Promise.withResolvers<void>();
	let isHeld = true;
	registry.instead = () => {
		asked.resolve();
		return isHeld;
	};
	const name = freshName();
	const { version } = await stack.client.deployArchive(name, archiveOf("two"), { wait: false });
	const following = followed(name, version.number);
	await asked.promise;
	isHeld = false;
	process.kill(await stack.pidOf("worker"), "SIGKILL");
	const { end, texts } = await following;
	expect(end).toEqual({ state: "ready" });
	expect(texts.filter((text) => text === "installing the dependencies")).toHaveLength(2);
	expect(texts).toContainEqual(expect.stringMatching(/^attempt \d: /));
});

it("is what berth deploy shows of a build, a line for each step, and berth buildlog later", async () => {
	const directory = await mkdtemp(join(tmpdir(), "berth-buildlog-"));
	await writeFile(join(directory, "index.ts"), "export default () => 1;");
	const name = freshName();
	const deployed = await stack.berth("deploy", join(directory, "index.ts"), "--name", name);
	await rm(directory, { recursive: true });
	expect(deployed).toMatchObject({ code: 0, stdout: expect.stringContaining("version  1, ready") });
	expect(deployed.stderr).toMatch(
		/^layer runtime cached .*\nlayer agent cached .*\nreading the source .*\nunpacked in .*\nlayer code built .*\n$/,
	);
	const log = await stack.berth("buildlog", name);
	expect(log).toMatchObject({ code: 0, stderr: "" });
	expect(log.stdout).toMatch(/ queued\n.* building\n(?:.*\n)+.* ready in \d+ ms: sha256:\w+\n$/);
	expect(JSON.parse((await stack.berth("--json", "buildlog", `${name}@1`)).stdout)).toMatchObject({ function: name, state: "ready" });
});
