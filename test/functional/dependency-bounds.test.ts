import { existsSync, readFileSync } from "node:fs";
import type { ServerResponse } from "node:http";
import type { ApiError } from "@berth/client";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { tarGz } from "../harness/archives.js";
import { eventually } from "../harness/eventually.js";
import { deploy, deployTar, freshName, refusalOf } from "../harness/functions.js";
import { processesOf } from "../harness/leftovers.js";
import { PackageRegistry, sourceWith } from "../harness/package-registry.js";
import { Stack } from "../harness/stack.js";

const MIB = 1024 * 1024;
/** Longer than an installation of one package takes, shorter than a test waits. */
const INSTALL_MS = 6000;
const SILENCE_MS = 1000;
/** Longer than bundling a small source takes. */
const BUILD_MS = 5000;
const TICKS_PER_SECOND = 100;
const DEPTH = 5000;
/** A name for each scope: esbuild looks for one that no scope around it has, in all of them, once for each that is taken. 1,000 are 4 s. */
const ENDLESS = `export default () => {${"{let b;".repeat(DEPTH)}${"}".repeat(DEPTH)}};`;

let registry: PackageRegistry;
let stack: Stack;
const dribbles = new Set<NodeJS.Timeout>();
beforeAll(async () => {
	registry = await PackageRegistry.open();
	stack = await Stack.start({
		BERTH_PREWARMED: "0",
		BERTH_NPM_REGISTRY: registry.url,
		BERTH_BUILD_TIMEOUT_MS: String(BUILD_MS),
		BERTH_INSTALL_TIMEOUT_MS: String(INSTALL_MS),
		BERTH_INSTALL_SILENCE_MS: String(SILENCE_MS),
	});
});
afterAll(async () => {
	for (const timer of dribbles) clearInterval(timer);
	await stack?.stop();
	await registry?.[Symbol.asyncDispose]();
});
beforeEach(() => {
	registry.instead = () => false;
});

/** A package of its own for each test: layers are shared by what they are made of. */
function source(name: string) {
	registry.publish({ name, version: "1.0.0", files: { "index.js": `module.exports = '${name}';` } });
	return sourceWith(
		`import it from '${name}'; export default () => it;`,
		{ [name]: "1.0.0" },
		{ [`node_modules/${name}`]: registry.locked(name, "1.0.0") },
	);
}

const deployed = (entries: ReturnType<typeof source>) => deployTar(stack, entries);
const refusal = (entries: ReturnType<typeof source>) => refusalOf(deployed(entries));

/** Never silent for long, and never done. */
function dribble(response: ServerResponse): void {
	response.writeHead(200, { "content-length": String(MIB) });
	const timer = setInterval(() => response.write("x"), SILENCE_MS / 5);
	dribbles.add(timer);
	response.once("close", () => clearInterval(timer));
}

it("a registry that says nothing is given up, and the same deploy works when it speaks again", async () => {
	const entries = source("silent");
	registry.instead = ({ url }) => url?.startsWith("/silent") === true;
	const problem = await refusal(entries);
	expect(problem).toMatchObject({ status: 503, code: "registry_unavailable", retryable: true });
	expect(problem.detail).toMatch(new RegExp(`/silent/.*said nothing for ${SILENCE_MS} ms`));
	registry.instead = () => false;
	expect(await (await deployed(entries)).result()).toBe("silent");
});

it("an installation that takes too long is stopped; what it waited for is said, and the same deploy works later", async () => {
	const entries = source("endless");
	registry.instead = ({ url }, response) => {
		if (url?.startsWith("/endless") !== true) return false;
		dribble(response);
		return true;
	};
	const problem = await refusal(entries);
	expect(problem).toMatchObject({ status: 422, code: "install_failed", phase: "install" });
	expect(problem.detail).toMatch(
		new RegExp(`longer than ${INSTALL_MS} ms and was stopped.*waiting for the registry's /endless/-/endless-1.0.0.tgz`),
	);
	registry.instead = () => false;
	expect(await (await deployed(entries)).result()).toBe("endless");
});

it("an install script that never ends is stopped, with what it said", async () => {
	const scripts = { postinstall: "echo begun; while :; do :; done" };
	registry.publish({ name: "spins", version: "1.0.0", manifest: { scripts }, files: { "index.js": "" } });
	const entries = sourceWith("export default () => 1;", { spins: "1.0.0" }, { "node_modules/spins": registry.locked("spins", "1.0.0") });
	const deploy = { kind: "tar.gz" as const, bytes: tarGz(...entries), manifest: { scripts: ["spins"] } };
	const error = await stack.client.deployArchive(freshName(), deploy).catch((reason: unknown) => reason);
	expect(error).toMatchObject({ problem: { status: 422, code: "install_failed" } });
	expect((error as ApiError).problem.detail).toMatch(
		new RegExp(`postinstall script of spins was stopped: scripts may take ${INSTALL_MS} ms.*begun`),
	);
});

it("a source that esbuild never comes to an end with is stopped at the build's time, esbuild with it, and the next one is built", async () => {
	const name = freshName();
	const refused = refusalOf(stack.client.deploy(name, { source: ENDLESS }));
	// It is esbuild that hangs: one that computes, not one that waits in a build sandbox for a source.
	const [hanging = ""] = await eventually(() => {
		const busy = esbuilds().filter((pid) => cpuSecondsOf(pid) > 1);
		expect(busy).not.toEqual([]);
		return busy;
	});
	const problem = await refused;
	expect(problem).toMatchObject({ status: 422, code: "build_timed_out", phase: "bundle", retryable: true });
	expect(problem.detail).toContain(`longer than ${BUILD_MS} ms and was stopped`);
	await eventually(() => expect(esbuilds()).not.toContain(hanging));
	expect(await (await deploy(stack, { name, source: "export default () => 'built';" })).result()).toBe("built");
});

/** Those in build sandboxes, by pid. */
function esbuilds(): readonly string[] {
	const running = processesOf(stack.dataDir).filter((line) => line.includes("esbuild --service"));
	return running.map((line) => line.slice(0, line.indexOf(" ")));
}

/** What a process has computed, by proc_pid_stat(5); 0 of one that is gone. */
function cpuSecondsOf(pid: string): number {
	const stat = existsSync(`/proc/${pid}/stat`) ? readFileSync(`/proc/${pid}/stat`, "utf8") : "";
	const [user = 0, system = 0] = stat
		.slice(stat.lastIndexOf(")") + 2)
		.split(" ")
		.slice(11, 13)
		.map(Number);
	return (user + system) / TICKS_PER_SECOND;
}
