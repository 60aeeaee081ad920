import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { World } from "../../packages/launcher/src/testing/world.js";
import { tarGz } from "../harness/archives.js";
import { cpuTicksOf, memoryLimitOf } from "../harness/cgroups.js";
import { DockerDaemon } from "../harness/docker-engine.js";
import { eventually } from "../harness/eventually.js";
import { deploy, fixture, freshName } from "../harness/functions.js";
import { ASKS, CALLS, type Called, call } from "../harness/network-probes.js";
import { PackageRegistry, sourceWith } from "../harness/package-registry.js";
import { sharedStack } from "../harness/shared-stack.js";
import { Stack } from "../harness/stack.js";

const MIB = 1024 * 1024;

const oci = sharedStack();
let daemon: DockerDaemon;
let docker: Stack;
let registry: PackageRegistry;
let world: World;
beforeAll(async () => {
	daemon = await DockerDaemon.start();
	world = await World.make();
	registry = await PackageRegistry.open();
	const code = "const { readFileSync } = require('node:fs'); module.exports = () => readFileSync(__dirname + '/words.txt', 'utf8');";
	registry.publish({ name: "reads-itself", version: "1.0.0", files: { "index.js": code, "words.txt": "from beside it" } });
	docker = await Stack.start({ ...daemon.settings, BERTH_NPM_REGISTRY: registry.url, BERTH_RESOLVER: world.resolver });
});
afterAll(async () => {
	try {
		await docker?.stop();
		// Whatever labels there are on what is left: nothing of ours is.
		if (docker !== undefined) expect([await daemon.containers(), await daemon.networks()]).toEqual([[], []]);
	} finally {
		await world?.[Symbol.asyncDispose]();
		await registry?.[Symbol.asyncDispose]();
		await daemon?.stop();
	}
});

const ENGINES = ["oci", "docker"] as const;
type Engine = (typeof ENGINES)[number];
const stackOf = (engine: Engine): Stack => (engine === "oci" ? oci : docker);

/** What docs/engines.md says of each engine, by row. */
function documented(engine: Engine): Readonly<Record<string, string>> {
	const page = readFileSync(join(import.meta.dirname, "../../docs/engines.md"), "utf8");
	const table = page.slice(page.indexOf("| seen from inside |")).split("\n\n")[0] ?? "";
	const rows = table
		.split("\n")
		.slice(2)
		.map((line) => line.split(" | ").map((cell) => cell.replace(/^\||\|$/g, "").trim()));
	return Object.fromEntries(rows.map(([name = "", ...cells]) => [name, cells[ENGINES.indexOf(engine)] ?? ""]));
}

describe.each(ENGINES)("a sandbox of the engine %s", (engine) => {
	it("is, seen from inside, what docs/engines.md says, cell for cell", async () => {
		const deployed = await deploy(stackOf(engine), { source: fixture("tells-its-walls") });
		expect(await deployed.result()).toEqual(documented(engine));
	});

	it("prints into the log of the invocation that runs, to the last word, and into no other", async () => {
		const source = `export default (p: any) => { console.log("out", p.n); process.stderr.write("err " + p.n); return p.n; };`;
		const deployed = await deploy(stackOf(engine), { source, concurrency: 1 });
		for (let n = 1; n <= 5; n++) {
			const { logs } = await deployed.record(await deployed.invoke({ n }));
			expect(logs.map(({ stream, text }) => `${stream} ${text}`).sort()).toEqual([`stderr err ${n}`, `stdout out ${n}`]);
		}
	});

	it("is frozen when it rests, and thawed for the next invocation", async () => {
		const source = `setInterval(() => { for (const until = Date.now() + 5; Date.now() < until; ); }, 5); export default () => 1;`;
		const deployed = await deploy(stackOf(engine), { source, concurrency: 1 });
		const { sandbox = "" } = await deployed.record(await deployed.invoke());
		const used = () => cpuTicksOf(stackOf(engine).dataDir, sandbox);
		let before = 0;
		await eventually(() => {
			const now = used();
			const rests = now === before;
			before = now;
			expect(rests).toBe(true);
		});
		const again = await deployed.record(await deployed.invoke());
		expect([again.start, again.sandbox]).toEqual(["warm", sandbox]);
		expect(used()).toBeGreaterThan(before);
	});

	it.each([
		["timed_out", { source: "export default () => { for (;;); };", timeoutMs: 500 }],
		["out_of_memory", { source: fixture("fills-buffers") }],
		["crashed", { source: "export default () => process.exit(7);" }],
		["init_error", { source: "process.exit(3); export default () => 1;" }],
		["handler_error", { source: "export default () => { throw new RangeError('no'); };" }],
	] as const)("ends as %s, with its cause, and leaves nothing", async (outcome, input) => {
		const deployed = await deploy(stackOf(engine), input);
		const answer = await deployed.invoke({ fill: true });
		expect(answer.outcome).toBe(outcome);
		if (outcome === "crashed") expect(answer.problem?.detail).toContain("exited with code 7");
		if (outcome === "out_of_memory") expect(answer.problem?.detail).toContain("memory limit of 128 MiB");
		if (outcome === "handler_error") return;
		await eventually(async () => {
			expect((await stackOf(engine).client.sandboxes()).filter((each) => each.function === deployed.name)).toEqual([]);
		});
	});

	it("has the memory that its manifest says, and is refused a process beyond 64 tasks", async () => {
		const deployed = await deploy(stackOf(engine), { source: fixture("fork-bomb"), timeoutMs: 8000, memoryMiB: 512 });
		await deployed.result({});
		const [sandbox] = (await stackOf(engine).client.sandboxes()).filter((each) => each.function === deployed.name);
		expect(memoryLimitOf(stackOf(engine).dataDir, sandbox?.id ?? "")).toBe(512 * MIB);
		const record = await deployed.record(await deployed.invoke({ fork: true }));
		if (record.outcome === "succeeded") expect(record.limitsHit).toContain("pids");
		else expect(["timed_out", "out_of_memory", "crashed"]).toContain(record.outcome);
	});
});

describe("in a Docker Engine", () => {
	it("images are named by version, containers labelled by whose they are, and both are found by Docker's own client", async () => {
		const deployed = await deploy(docker, { source: "export default () => 'named';" });
		const { sandbox = "" } = await deployed.record(await deployed.invoke());
		const { stdout: images } = await daemon.docker("images", "--format", "{{.Repository}}:{{.Tag}}");
		expect(images.split("\n")).toContain(`berth/default/${deployed.name}:1`);
		const labels = await daemon.docker("inspect", "--format", "{{json .Config.Labels}}", sandbox);
		expect(JSON.parse(labels.stdout)).toMatchObject({
			"dev.berth.sandbox": sandbox,
			"dev.berth.project": "default",
			"dev.berth.function": deployed.name,
			"dev.berth.version": "1",
		});
	});

	it("the doctor says which engine is chosen, what it costs, and that it can be had", async () => {
		const found = async (stack: Stack) => {
			const { checks } = JSON.parse((await stack.berth("doctor", "--json")).stdout) as {
				checks: { name: string; status: string; found: string }[];
			};
			return checks.find(({ name }) => name === "engine");
		};
		const [chosen, other] = [await found(docker), await found(oci)];
		expect(chosen).toMatchObject({ status: "ok", found: expect.stringMatching(/^docker: Docker Engine \d+.*as good as root/) });
		expect(other).toMatchObject({ status: "ok", found: expect.stringMatching(/^oci: /) });
	});

	it("an image that was pushed to a registry, or exported by hand, runs with `docker run` and answers over HTTP", async () => {
		const source = `export default { fetch: async (r: Request, env: any) => Response.json({ path: new URL(r.url).pathname, said: await r.text(), env: env.A }) };`;
		const { name } = await deploy(docker, { source, env: { A: "1" } });
		const layout = `oci:${join(docker.dataDir, "artifacts/oci")}:default/${name}:1`;
		const archive = join(daemon.directory, "image.tar");
		await promisify(execFile)("skopeo", ["copy", layout, `docker-archive:${archive}:by-hand:1`]);
		await daemon.docker("load", "--input", archive);
		await daemon.docker("run", "--detach", "--name", "by-hand", "--network", "none", "--read-only", "--cap-drop", "ALL", "by-hand:1");
		try {
			const ask = `fetch("http://127.0.0.1:8080/a", { method: "POST", body: "hi" }).then((r) => r.text()).then(console.log)`;
			const answer = await eventually(() => daemon.docker("exec", "by-hand", "/usr/bin/node", "-e", ask));
			expect(JSON.parse(answer.stdout)).toEqual({ path: "/a", said: "hi", env: "1" });
		} finally {
			await daemon.docker("rm", "--force", "by-hand");
		}
	});

	it("dependencies are installed in a container, and bundled in another that is booted with them", async () => {
		const name = freshName();
		const source = `import words from "reads-itself"; export default () => words();`;
		const locked = { "node_modules/reads-itself": registry.locked("reads-itself", "1.0.0") };
		const bytes = tarGz(...sourceWith(source, { "reads-itself": "1.0.0" }, locked));
		const { version } = await docker.client.deployArchive(name, { kind: "tar.gz", bytes, manifest: {} });
		expect(version.image?.layers).toHaveLength(2);
		expect((await docker.client.invoke(name, { json: {} })).raw.body.toString()).toBe("from beside it");
	});

	it("Python answers, too, and logs", async () => {
		const source = "def handler(event, context):\n    print('from', event['n'])\n    return event['n'] + 1\n";
		const deployed = await deploy(docker, { source, runtime: "python3" });
		const answer = await deployed.invoke({ n: 41 });
		expect(answer.raw.body.toString()).toBe("42");
		expect((await deployed.record(answer)).logs.map(({ text }) => text)).toEqual(["from 41"]);
	});

	it("containers of a worker that was killed are removed by the next one, and invocations go on", async () => {
		const deployed = await deploy(docker, { source: fixture("counts") });
		const { sandbox = "" } = await deployed.record(await deployed.invoke());
		expect(await daemon.containers()).toContain(sandbox);
		await docker.killAndAwaitNext("worker");
		await eventually(async () => expect(await daemon.containers()).not.toContain(sandbox));
		await eventually(async () => expect((await deployed.invoke()).outcome).toBe("succeeded"), 30_000);
	});
});

describe("networks in a Docker Engine", () => {
	const outside = "http://service.example/";

	it("internet lets a function out, under this host's address, and keeps it from this host, private networks and others' sandboxes", async () => {
		const asks = await deploy(docker, { network: "internet", source: ASKS });
		expect(await asks.result({ url: outside })).toBe(world.hostEnd);
		const own = Object.values(networkInterfaces()).flatMap((each) => each?.filter(({ family }) => family === "IPv4") ?? []);
		const port = new URL(docker.url).port;
		const refused = [...world.notForSandboxes, "169.254.169.254", ...own.map(({ address }) => `${address}:${port}`)];
		for (const address of refused) expect(await asks.result({ url: `http://${address}/` }), address).toMatch(/^E/);

		const source = `import { createServer } from "node:http";
			export default () => { createServer((_, response) => response.end("reached")).listen(7000, "0.0.0.0"); return new Promise(() => undefined); }`;
		const listens = await deploy(docker, { network: "internet", source, timeoutMs: 60_000 });
		await docker.client.invokeAsync(listens.name, { json: {} });
		const { sandbox, address } = await eventually(async () => {
			const [one] = (await docker.client.sandboxes()).filter((each) => each.function === listens.name);
			const { State, NetworkSettings } = await daemon.ask<Inspected>("GET", `/containers/${one?.id}/json`);
			expect(readFileSync(`/proc/${State.Pid}/net/tcp`, "utf8")).toContain(":1B58 ");
			return { sandbox: one?.id ?? "", address: Object.values(NetworkSettings.Networks)[0]?.IPAddress };
		});
		const url = `http://${address}:7000/`;
		expect(await asks.result({ url, withinMs: 700 })).toMatch(/^(?:E|TimeoutError)/);
		await expect(fetch(url, { signal: AbortSignal.timeout(500) })).rejects.toThrow();
		await docker.client.command({ kind: "kill", sandbox });
	});

	it("its rules outlive the process that sets them", async () => {
		const asks = await deploy(docker, { network: "internet", source: ASKS });
		await docker.killAndAwaitNext("networks");
		expect(await asks.result({ url: outside })).toBe(world.hostEnd);
		expect(await asks.result({ url: `http://${world.notForSandboxes[0]}/` })).toMatch(/^E/);
	});

	it("a function reaches another one of its network by its name, on record, and nothing else; Docker's client sees who is on which", async () => {
		for (const name of ["shop", "bank"]) await docker.client.makeNetwork(name);
		const members = { orders: { join: "shop" }, stock: { join: "shop" }, vault: { join: "bank" } } as const;
		for (const [name, network] of Object.entries(members)) await deploy(docker, { name, network, source: CALLS });
		const urls = ["http://stock/items?id=7", "http://vault/", outside, `http://${world.publicAddress}/`, docker.url];
		const { answers } = await call(docker, "orders", { urls, headers: { "berth-caller": "vault" } });
		const [status, text, id = ""] = answers[0] ?? [0, "{}"];
		const seen = JSON.parse(text) as Called;
		expect([status, seen.caller, new URL(seen.url).pathname]).toEqual([200, "orders", "/items"]);
		expect(await docker.client.invocation(id)).toMatchObject({ function: "stock", outcome: "succeeded" });
		expect(answers[1]?.[0]).toBe(404);
		for (const [code, why] of answers.slice(2)) expect([code, why]).toEqual([0, expect.stringMatching(/^E/)]);
		const { stdout } = await daemon.docker("ps", "--filter", "label=dev.berth.network=shop", "--format", '{{.Label "dev.berth.function"}}');
		expect(stdout.trim().split("\n").sort()).toEqual(["orders", "stock"]);
	});
});

interface Inspected {
	readonly State: { readonly Pid: number };
	readonly NetworkSettings: { readonly Networks: Readonly<Record<string, { readonly IPAddress: string }>> };
}
