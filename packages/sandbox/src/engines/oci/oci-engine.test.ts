import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import {
	type Digest,
	encodeFrame,
	FrameDecoder,
	LAUNCHER_BOUNDS,
	LAUNCHER_EXIT,
	LAUNCHER_PROBLEM,
	LAUNCHER_VERBS,
	LAYER_LEASE_MS,
} from "@berth/contracts";
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { temporaryDirectory } from "../../testing/directory.js";
import { digest } from "../../testing/versions.js";
import { OciEngine } from "./oci-engine.js";

interface Request {
	readonly seq: number;
	readonly digest?: Digest;
	readonly last?: boolean;
}

const directory = temporaryDirectory();
let launcher: Server;
let engine: OciEngine;
let sockets: Socket[];
/** Layers the launcher has, and what it was asked, `verb digest bytes`. */
let present: Set<Digest>;
let asked: string[];
/** What it does with a request; default: it does as it is told. */
let answer: (type: number, head: Request) => object;

beforeEach(async () => {
	[sockets, present, asked] = [[], new Set(), []];
	answer = (type, head) => (type === LAUNCHER_VERBS.hasLayer ? { present: present.has(head.digest as Digest) } : {});
	launcher = createServer((socket) => {
		sockets.push(socket);
		const decoder = new FrameDecoder(LAUNCHER_BOUNDS);
		socket.on("data", (chunk: Buffer) => {
			for (const { type, head, body } of decoder.push(chunk)) reply(socket, type, head as Request, body);
		});
	});
	const path = join(directory.path, "launcher.sock");
	await once(launcher.listen(path), "listening");
	engine = await OciEngine.connect(path);
});
afterEach(async () => {
	await engine.close();
	for (const socket of sockets) socket.destroy();
	launcher.close();
});

function reply(socket: Socket, type: number, head: Request, body: Uint8Array): void {
	if (type === LAUNCHER_VERBS.importLayer) asked.push(`${head.digest?.at(-1)} ${head.last === true ? "end" : body.byteLength}`);
	try {
		socket.write(encodeFrame(type, { ...answer(type, head), seq: head.seq }));
	} catch (error) {
		socket.write(encodeFrame(LAUNCHER_PROBLEM, { seq: head.seq, message: (error as Error).message }));
	}
}

const stored = (digits: string) => ({ digest: digest(digits), sizeBytes: 1 });

const layer = (bytes: number) =>
	async function* () {
		yield Buffer.alloc(bytes);
	};

describe("layers", () => {
	test("that are there aren't sent; others are, in chunks that a frame can hold, once however many ask", async () => {
		present.add(digest("1"));
		await Promise.all([1, 2, 3].map(() => engine.ensureLayers([stored("1"), stored("2")], layer(LAUNCHER_BOUNDS.maxBodyBytes + 5))));
		expect(asked).toEqual([`2 ${LAUNCHER_BOUNDS.maxBodyBytes}`, "2 5", "2 end"]);
	});

	test("go one after the other: their chunks never mix", async () => {
		await Promise.all([engine.ensureLayers([stored("1")], layer(9)), engine.ensureLayers([stored("2")], layer(9))]);
		expect(asked).toEqual(["1 9", "1 end", "2 9", "2 end"]);
	});

	test("whose source breaks off are ended, so that the next isn't taken for their rest, and are tried again", async () => {
		const broken = async function* () {
			yield Buffer.alloc(3);
			throw new Error("EIO");
		};
		await expect(engine.ensureLayers([stored("1")], broken)).rejects.toThrow("EIO");
		await engine.ensureLayers([stored("2")], layer(4));
		await engine.ensureLayers([stored("1")], layer(5));
		expect(asked).toEqual(["1 3", "1 end", "1 3", "1 end", "2 4", "2 end", "1 5", "1 end"]);
	});

	test("whose source found its bytes to be damaged at the end are asked for once more", async () => {
		let times = 0;
		const mended = async function* () {
			yield Buffer.alloc(2);
			if (++times === 1) throw new Error("the blob is corrupt and was removed");
		};
		await engine.ensureLayers([stored("1")], mended);
		expect(asked).toEqual(["1 2", "1 end", "1 2", "1 end"]);
	});
});

describe("what is believed of layers", () => {
	const looks = async (times: number) => {
		let looked = 0;
		answer = (type, head) => {
			if (type === LAUNCHER_VERBS.specialise) throw new Error("the layer isn't in the store");
			if (type === LAUNCHER_VERBS.hasLayer) looked++;
			return { present: present.has(head.digest as Digest) };
		};
		for (let time = 0; time < times; time++) await engine.ensureLayers([stored("1")], layer(1));
		return looked;
	};

	test("is asked once while it can't have changed, and again after that", async () => {
		present.add(digest("1"));
		expect(await looks(3)).toBe(1);
		const now = performance.now();
		const clock = vi.spyOn(performance, "now").mockReturnValue(now + LAYER_LEASE_MS + 1);
		onTestFinished(() => clock.mockRestore());
		expect(await looks(3)).toBe(1);
	});

	test("is forgotten when a start fails that needed them", async () => {
		present.add(digest("1"));
		expect(await looks(1)).toBe(1);
		const limits = { memoryBytes: 1, cpuMilli: 1, pids: 1, tmpfsBytes: 1, tmpfsInodes: 1 };
		await expect(engine.specialise({ sandbox: "x", layers: [digest("1")], limits, network: "none" })).rejects.toThrow("isn't in the store");
		present.delete(digest("1"));
		await engine.ensureLayers([stored("1")], layer(5));
		expect(asked).toEqual(["1 5", "1 end"]);
	});
});

test("a refusal says what the launcher said, and only who asked hears it", async () => {
	answer = (type) => {
		if (type === LAUNCHER_VERBS.kill) throw new Error("sandbox: isn't one");
		return {};
	};
	const [killed, removed] = await Promise.allSettled([engine.kill("x"), engine.remove("x")]);
	expect(killed).toMatchObject({ status: "rejected", reason: { name: "LauncherError", message: "sandbox: isn't one" } });
	expect(removed.status).toBe("fulfilled");
});

test("a sandbox's end is told as it comes", async () => {
	const exit = new Promise((resolve) => engine.onExit(resolve));
	await engine.host();
	sockets[0]?.write(encodeFrame(LAUNCHER_EXIT, { sandbox: "sb_1", code: 137 }));
	expect(await exit).toEqual({ sandbox: "sb_1", code: 137 });
});

test("a launcher that goes away fails what waits for it, and what is asked of it after", async () => {
	const lost = new Promise<Error>((resolve) => engine.onLost(resolve));
	answer = () => {
		for (const socket of sockets) socket.destroy();
		return {};
	};
	await expect(engine.host()).rejects.toThrow("the launcher is gone");
	await lost;
	await expect(engine.kill("x")).rejects.toThrow("the launcher is gone");
});
