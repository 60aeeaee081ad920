import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createLauncher } from "node:net";
import { release } from "node:os";
import { join } from "node:path";
import { type BootRequest, encodeFrame, FrameDecoder, LAUNCHER_BOUNDS, MIB, type SandboxExit } from "@berth/contracts";
import { afterEach, beforeEach, expect, test } from "vitest";
import { temporaryDirectory } from "../../testing/directory.js";
import { digest } from "../../testing/versions.js";
import { LABELS } from "./container-config.js";
import { DockerEngine } from "./docker-engine.js";

const directory = temporaryDirectory();
const servers: { close(): void }[] = [];
let engine: DockerEngine;
let exits: SandboxExit[];

const SANDBOX = "sb_1";
const BASE = [{ digest: digest("1"), sizeBytes: 1 }];
const REQUEST: BootRequest = {
	sandbox: SANDBOX,
	base: BASE.map((layer) => layer.digest),
	kind: "function",
	program: { language: "node", oldSpaceMiB: 68, semiSpaceMiB: 4 },
	limits: { memoryBytes: 128 * MIB, cpuMilli: 1000, pids: 64, tmpfsBytes: MIB, tmpfsInodes: 64 },
	network: "none",
};

/** What an Engine says of a container, a line each. */
const word = (Action: string, exitCode = "") =>
	`${JSON.stringify({ Action, Actor: { Attributes: { [LABELS.sandbox]: SANDBOX, exitCode } } })}\n`;

/** An Engine whose word that a container's memory was why it ended comes behind that of its end, as a real one's does when it is busy. */
function slowToSay(): Server {
	let events: ServerResponse | undefined;
	const answers: Readonly<Record<string, unknown>> = {
		"/version": { ApiVersion: "1.41", MinAPIVersion: "1.12" },
		"/info": {
			KernelVersion: release(),
			MemoryLimit: true,
			SwapLimit: true,
			CpuCfsQuota: true,
			PidsLimit: true,
			SecurityOptions: ["name=seccomp"],
		},
		[`/containers/${SANDBOX}/json`]: { State: { Pid: process.pid }, NetworkSettings: { Networks: {} } },
		"/containers/create": { Id: SANDBOX },
	};
	const answer = ({ url = "" }: IncomingMessage, response: ServerResponse) => {
		const path = url.replace(/^\/v[\d.]+/, "").replace(/\?.*$/, "");
		if (path === "/events") {
			events = response;
			response.flushHeaders();
		} else if (path.endsWith("/kill")) {
			response.writeHead(204).end();
			events?.write(word("die", "137") + word("oom"));
		} else if (/^\/images\/.+\/json$/.test(path)) {
			response.end(JSON.stringify({ Id: digest("2"), RootFS: { Layers: REQUEST.base } }));
		} else if (path.endsWith("/start")) response.writeHead(204).end();
		else response.end(JSON.stringify(answers[path] ?? []));
	};
	const attach = (_: unknown, socket: NodeJS.WritableStream) =>
		void socket.write("HTTP/1.1 101 UPGRADED\r\nconnection: Upgrade\r\nupgrade: tcp\r\n\r\n");
	return createServer(answer).on("upgrade", attach);
}

/** One with nothing of its own to do: there are no networks. */
function launcherWithout() {
	return createLauncher((socket) => {
		const decoder = new FrameDecoder(LAUNCHER_BOUNDS);
		const report = { networks: { gateway: "198.19.0.1", missing: "none here" }, storage: { binds: [] } };
		socket.on("data", (chunk: Buffer) => {
			for (const { type, head } of decoder.push(chunk)) socket.write(encodeFrame(type, { ...report, seq: (head as { seq: number }).seq }));
		});
	});
}

beforeEach(async () => {
	exits = [];
	const at = (name: string) => join(directory.path, name);
	const [docker, launcher] = [slowToSay(), launcherWithout()];
	servers.push(docker, launcher);
	await Promise.all([once(docker.listen(at("docker.sock")), "listening"), once(launcher.listen(at("launcher.sock")), "listening")]);
	engine = await DockerEngine.connect({
		socketPath: at("docker.sock"),
		node: "node_1",
		agentSockets: directory.path,
		uidBase: 0x7000_0000,
		allowsHostNetwork: false,
		launcherSocket: at("launcher.sock"),
		resolvConf: "/etc/resolv.conf",
	});
	engine.onExit((exit) => void exits.push(exit));
	await engine.ensureLayers(BASE, () => {
		throw new Error("its image is there");
	});
	const { output, freezer } = await engine.boot(REQUEST);
	output.close();
	freezer.close();
});
afterEach(async () => {
	await engine.close();
	for (const server of servers.splice(0)) server.close();
});

test("a kill of what is over already isn't taken for its cause: the word that its memory was is waited for", async () => {
	await engine.kill(SANDBOX, true);
	expect(exits).toEqual([{ sandbox: SANDBOX, code: 137, maxResidentBytes: 0, oomKilled: true }]);
});

test("of what we kill nothing more is waited for", async () => {
	await engine.kill(SANDBOX);
	expect(exits).toEqual([{ sandbox: SANDBOX, code: 137, maxResidentBytes: 0, oomKilled: false }]);
});
