import { execFile } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { CutError } from "@berth/client";
import { type BootRequest, newId } from "@berth/contracts";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { World } from "../../packages/launcher/src/testing/world.js";
import { DockerEngine } from "../../packages/sandbox/src/engines/docker/docker-engine.js";
import { type FunctionsImage, makeFunctionsImage } from "../conformance/functions-image.js";
import { engineConforms } from "../conformance/suite.js";
import { tar, tarGz } from "../harness/archives.js";
import { DockerDaemon } from "../harness/docker-engine.js";
import { eventually } from "../harness/eventually.js";
import { Deployed, type DeployInput, deploy, fixture, freshName } from "../harness/functions.js";
import { takeKeptBases } from "../harness/kept-bases.js";
import { PackageRegistry, sourceWith } from "../harness/package-registry.js";
import { sharedStack } from "../harness/shared-stack.js";
import { Stack } from "../harness/stack.js";
import { distribution, image } from "../harness/tenant-image.js";
import { dockerNetworks } from "./docker-networks.js";
import { dockerStorage } from "./docker-storage.js";
import { describeDockerfiles } from "./dockerfiles.js";
import { certify } from "./egress.js";

const MIB = 1024 * 1024;

const oci = await sharedStack();
let daemon: DockerDaemon;
let docker: Stack;
let registry: PackageRegistry;
let world: World;
let words: string;
/** A directory of the conformance suite's, and what it makes sandboxes of. */
let alone: string;
let functions: FunctionsImage;
let certificates: string;
beforeAll(async () => {
	daemon = await DockerDaemon.start();
	words = await mkdtemp("/var/lib/berth-test-bind-");
	await writeFile(join(words, "first"), "from the host", { mode: 0o666 });
	// Everybody on the host may write it; a function may not.
	await chmod(join(words, "first"), 0o666);
	await chmod(words, 0o777);
	alone = join(daemon.directory, "alone");
	await mkdir(join(alone, "run/a"), { recursive: true });
	await takeKeptBases(alone);
	functions = await makeFunctionsImage(join(alone, "artifacts"));
	certificates = await mkdtemp("/tmp/berth-test-egress-");
	await chmod(certificates, 0o755);
	certify(certificates);
	world = await World.make();
	registry = await PackageRegistry.open();
	const code = "const { readFileSync } = require('node:fs'); module.exports = () => readFileSync(__dirname + '/words.txt', 'utf8');";
	registry.publish({ name: "reads-itself", version: "1.0.0", files: { "index.js": code, "words.txt": "from beside it" } });
	docker = await Stack.start({
		...daemon.settings,
		BERTH_PREWARMED: "1",
		BERTH_DOCKER_BUILDS: "offline",
		BERTH_NPM_REGISTRY: registry.url,
		BERTH_RESOLVER: world.resolver,
		BERTH_BINDS: `words=${words}`,
		BERTH_EGRESS_CA_FILE: join(certificates, "certificate.pem"),
	});
});
afterAll(async () => {
	const ofAnother = "berth/00000000/default/other:1";
	try {
		if (docker !== undefined) {
			const some = (await daemon.imagesOfBerth()).find((one) => one.startsWith("berth/")) ?? "";
			await daemon.docker("tag", some, ofAnother);
		}
		await docker?.stop();
		// Whatever labels there are on what is left: nothing of ours is.
		if (docker !== undefined)
			expect([await daemon.containers(), await daemon.networks(), await daemon.imagesOfBerth()]).toEqual([[], [], [ofAnother]]);
	} finally {
		await world?.[Symbol.asyncDispose]();
		for (const each of [words, certificates]) if (each !== undefined) await rm(each, { recursive: true });
		await registry?.[Symbol.asyncDispose]();
		await daemon?.stop();
	}
});

/** Beside what the stack has in the same Engine. */
engineConforms(
	"docker",
	() => alone,
	() => ({
		docker: {
			...functions,
			socketPath: daemon.socketPath,
			node: "node_alone",
			dataDir: alone,
			launcherSocket: join(docker.dataDir, "run/launcher.sock"),
			patienceMs: 20_000,
		},
	}),
);

const ASK = `fetch("http://127.0.0.1:8080/a", { method: "POST", body: "hi" }).then((r) => r.text()).then(console.log)`;
const ASK_IN_PYTHON = `import urllib.request; print(urllib.request.urlopen("http://127.0.0.1:8080/a", b"hi").read().decode())`;
/** The same function three times, and how its container is asked from within. */
const BY_HAND: readonly (readonly [string, DeployInput, readonly string[]])[] = [
	[
		"Node",
		{
			source: `export default { fetch: async (r: Request, env: any) => Response.json({ path: new URL(r.url).pathname, said: await r.text(), env: env.A }) };`,
		},
		["/usr/bin/node", "-e", ASK],
	],
	[
		"Python",
		{
			runtime: "python3",
			source: `import os\ndef handler(event, context):\n    return {"path": event["rawPath"], "said": event["body"], "env": os.environ["A"]}\n`,
		},
		["/usr/bin/python3", "-c", ASK_IN_PYTHON],
	],
	[
		"a program",
		{
			runtime: "custom",
			source: `#!/usr/bin/node
require("node:http").createServer(async (request, response) => {
	let said = "";
	for await (const piece of request) said += piece;
	response.end(JSON.stringify({ path: request.url, said, env: process.env.A }));
}).listen(process.env.BERTH_SOCKET);
`,
		},
		["/usr/bin/node", "-e", ASK],
	],
];

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

	it("streams an answer as its function gives it, and takes a large request as it comes", async () => {
		const source = `export default {
			async fetch(request: Request): Promise<Response> {
				if (new URL(request.url).searchParams.has("echo")) return new Response(request.body);
				let given = 0;
				const pull = async (controller: any) => {
					if (given > 0) await new Promise((resolve) => setTimeout(resolve, 20));
					controller.enqueue(new TextEncoder().encode("piece " + given++));
					if (given === 3) controller.close();
				};
				return new Response(new ReadableStream({ pull }));
			},
		};`;
		const deployed = await deploy(stackOf(engine), { source });
		const pieces: string[] = [];
		const answer = await deployed.request({ onPiece: (piece) => void pieces.push(Buffer.from(piece).toString()) });
		// How many come together is the network's to say; that it was streamed at all, the trailer and the record.
		expect([pieces.join(""), answer.trailers["berth-outcome"]]).toEqual(["piece 0piece 1piece 2", "succeeded"]);
		expect(await deployed.record({ id: String(answer.headers["berth-invocation-id"]) })).toMatchObject({ streamed: { bytes: 21 } });
		const body = Buffer.alloc(7 * MIB, "0123456789abcdef");
		const echoed = await deployed.request({ method: "POST", path: "/?echo=1", body });
		expect([echoed.body.equals(body), echoed.trailers["berth-outcome"]]).toEqual([true, "succeeded"]);
		const id = String(echoed.headers["berth-invocation-id"]);
		expect(await deployed.record({ id })).toMatchObject({ outcome: "succeeded", streamed: { bytes: body.length } });
		await expect(deployed.request({ onPiece: () => Promise.reject(new Error("enough")) })).rejects.toThrow("enough");
		await eventually(async () => expect((await deployed.request({})).body.toString()).toBe("piece 0piece 1piece 2"));
	});
});

async function deployArchive(kind: "tar.gz" | "image", bytes: Buffer, manifest: object = {}): Promise<Deployed> {
	const name = freshName();
	const { version } = await docker.client.deployArchive(name, { kind, bytes, manifest });
	return new Deployed(docker, name, version);
}

function exampleFiles(name: string) {
	const at = fileURLToPath(new URL(`../../examples/${name}/`, import.meta.url));
	return readdirSync(at).map((path) => ({ path, body: readFileSync(join(at, path)) }));
}

async function exampleInC() {
	const program = join(daemon.directory, "hello");
	const source = fileURLToPath(new URL("../../examples/c-hello/hello.c", import.meta.url));
	await promisify(execFile)("cc", ["-O1", "-static", "-o", program, source]);
	return [{ path: "bootstrap", body: readFileSync(program) }];
}

describe("in a Docker Engine", () => {
	it("images are named by version, containers labelled by whose they are, and both are found by Docker's own client", async () => {
		const deployed = await deploy(docker, { source: "export default () => 'named';" });
		const { sandbox = "" } = await deployed.record(await deployed.invoke());
		const { stdout: images } = await daemon.docker("images", "--format", "{{.Repository}}:{{.Tag}}");
		expect(images).toMatch(new RegExp(`^berth/[0-9a-f]{8}/default/${deployed.name}:1$`, "m"));
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

	it.each(BY_HAND)(
		"an image that was pushed to a registry, or exported by hand, runs with `docker run` and answers over HTTP: %s",
		async (_, input, ask) => {
			const { name } = await deploy(docker, { ...input, env: { A: "not there" } });
			const layout = `oci:${join(docker.dataDir, "artifacts/oci")}:default/${name}:1`;
			const archive = join(daemon.directory, "image.tar");
			await promisify(execFile)("skopeo", ["copy", layout, `docker-archive:${archive}:by-hand:1`]);
			await daemon.docker("load", "--input", archive);
			const walls = ["--network", "none", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--env", "A=1"];
			await daemon.docker("run", "--detach", "--name", "by-hand", ...walls, "by-hand:1");
			try {
				const answer = await eventually(() => daemon.docker("exec", "by-hand", ...ask));
				expect(JSON.parse(answer.stdout)).toEqual({ path: "/a", said: "hi", env: "1" });
			} finally {
				await daemon.docker("rm", "--force", "by-hand");
				await rm(archive);
			}
		},
	);

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

	it("a program answers, in the shell and in C, and the next time from its warm container", async () => {
		const hello = async (files: readonly { readonly path: string; readonly body: Buffer }[]) => {
			const deployed = await deployArchive("tar.gz", tarGz(...files), { runtime: "custom" });
			const answer = await deployed.invoke({ name: "Ada" });
			return [JSON.parse(answer.raw.body.toString()), (await deployed.record(await deployed.invoke())).start];
		};
		const seen = await Promise.all([hello(exampleFiles("shell-hello")), hello(await exampleInC())]);
		expect(seen).toEqual([
			[expect.objectContaining({ hello: "Ada" }), "warm"],
			[{ hello: "Ada" }, "warm"],
		]);
	});

	it("an image is the root of its containers, with its variables, directory and files; its base is shared with all others", async () => {
		const said = 'echo "$PWD $A"; id -u; touch /x 2>&1; ls /sys; cat /data/text; echo logged >&2';
		const env = ["A=image", "PATH=/bin:/usr/bin"];
		const config = { Entrypoint: ["/srv/run"], Env: env, WorkingDir: "/data", User: "root", Volumes: { "/data": {} } };
		const layers = [distribution(said), tar({ path: "data/text", body: "of the image" })];
		const deployed = await deployArchive("image", image(layers, config));
		const answer = await deployed.invoke();
		const [directory, uid, ...lines] = answer.raw.body.toString().split("\n");
		expect(directory).toBe("/data image");
		expect(Number(uid)).toBeGreaterThan(65_536);
		expect(lines).toEqual(["touch: /x: Read-only file system", "of the image"]);
		const record = await deployed.record(answer);
		expect([record.start, record.logs.map(({ text }) => text)]).toEqual(["boot", ["logged"]]);
		expect((await deployed.record(await deployed.invoke())).start).toBe("warm");
		const other = await deployArchive("image", image([distribution("echo other")]));
		expect((await other.invoke()).raw.body.toString()).toBe("other\n");
		const layersOf = async ({ name }: Deployed) =>
			JSON.parse((await daemon.docker("inspect", "--format", "{{json .RootFS.Layers}}", await daemon.imageOf(name))).stdout) as string[];
		const [one, another] = [await layersOf(deployed), await layersOf(other)];
		expect([one.length, one.slice(0, 2)]).toEqual([3, another.slice(0, 2)]);
	});

	it("an image's program ends as any does, with its cause, and leaves nothing", async () => {
		const ends = async (config: { readonly Entrypoint: readonly string[] }, answers = "") => {
			const deployed = await deployArchive("image", image([distribution(answers)], config), { timeoutMs: 1500 });
			// What its program has begun to answer has reached the caller, cut; the record says why.
			const { id } = await deployed.invoke().catch((cut: unknown) => {
				if (cut instanceof CutError) return { id: cut.invocationId };
				throw cut;
			});
			await eventually(async () => {
				expect((await docker.client.sandboxes()).filter((each) => each.function === deployed.name)).toEqual([]);
			});
			const { outcome, error } = await deployed.record({ id });
			return `${outcome}: ${error?.message}`;
		};
		const seen = await Promise.all([
			ends({ Entrypoint: ["/srv/run"] }, "/bin/busybox sleep 60"),
			ends({ Entrypoint: ["/srv/run"] }, "kill -9 -1"),
			ends({ Entrypoint: ["/bin/sh", "-c", "exit 4"] }),
		]);
		expect(seen).toEqual([
			expect.stringMatching(/^timed_out: .*1500 ms/),
			expect.stringMatching(/^crashed: .*signal 9/),
			expect.stringMatching(/^init_error: .*exited with code 4/),
		]);
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

/** An image that is pulled brings its manifest along: no gateway has seen what network it asks for. */
it("a Docker Engine is asked for the host's network only where the operator permits it", async () => {
	const request: BootRequest = {
		sandbox: newId("sb"),
		base: [],
		kind: "function",
		program: { language: "node", oldSpaceMiB: 68, semiSpaceMiB: 4 },
		limits: { memoryBytes: 128 * MIB, cpuMilli: 1000, pids: 64, tmpfsBytes: MIB, tmpfsInodes: 64 },
		network: "host",
	};
	const engineThat = (allowsHostNetwork: boolean) =>
		DockerEngine.connect({
			socketPath: daemon.socketPath,
			node: `node_of_a_test_${allowsHostNetwork}`,
			agentSockets: daemon.directory,
			uidBase: 0x7000_0000,
			allowsHostNetwork,
			launcherSocket: join(docker.dataDir, "run", "launcher.sock"),
			resolvConf: "/etc/resolv.conf",
		});
	const [refuses, permits] = [await engineThat(false), await engineThat(true)];
	try {
		await expect(refuses.boot(request)).rejects.toThrow("the host's network isn't permitted");
		// This one goes on to what isn't there.
		await expect(permits.boot(request)).rejects.not.toThrow("isn't permitted");
	} finally {
		await refuses.close();
		await permits.close();
	}
});

dockerNetworks(() => ({ docker, daemon, world, directory: certificates }));
dockerStorage(() => docker);
describeDockerfiles({ daemon: () => daemon, docker: () => docker, oci: () => oci });
