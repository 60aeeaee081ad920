import { once } from "node:events";
import { setTimeout as after } from "node:timers/promises";
import { eventually } from "./eventually.js";
import { residentBytesOf } from "./footprint.js";

/** Where Node's inspector listens that SIGUSR1 opens. */
const INSPECTOR = "http://127.0.0.1:9229/json/list";
/** Once isn't enough for what finalizers let go of. */
const COLLECTIONS = 3;

/** What a process of Node's holds when everything that can go is gone, bytes. */
export interface Held {
	readonly heap: number;
	readonly resident: number;
}

/**
 * Collects a process's garbage, through the inspector that any process of Node's opens when it is sent SIGUSR1, and closes that again.
 * One process at a time: they all have the same port for it. @throws Error when another one's inspector is there
 */
export async function heldBy(pid: number): Promise<Held> {
	process.kill(pid, "SIGUSR1");
	const socket = await eventually(async () => {
		const [target] = (await (await fetch(INSPECTOR)).json()) as readonly { readonly webSocketDebuggerUrl: string }[];
		return new WebSocket(target?.webSocketDebuggerUrl as string);
	});
	await once(socket, "open");
	let asked = 0;
	const ask = async (method: string, params: object = {}): Promise<unknown> => {
		const id = ++asked;
		const answered = new Promise<unknown>((resolve) => {
			const take = ({ data }: MessageEvent) => {
				const answer = JSON.parse(String(data)) as { readonly id?: number; readonly result?: unknown };
				if (answer.id !== id) return;
				socket.removeEventListener("message", take);
				resolve(answer.result);
			};
			socket.addEventListener("message", take);
		});
		socket.send(JSON.stringify({ id, method, params }));
		return await answered;
	};
	const evaluated = async (expression: string): Promise<unknown> =>
		((await ask("Runtime.evaluate", { expression, returnByValue: true })) as { readonly result: { readonly value?: unknown } }).result
			.value;
	try {
		const other = await evaluated("process.pid");
		if (other !== pid) throw new Error(`the inspector's port is ${String(other)}'s, not ${pid}'s`);
		for (let each = 0; each < COLLECTIONS; each++) await ask("HeapProfiler.collectGarbage");
		const heap = Number(await evaluated("process.memoryUsage().heapUsed"));
		const held = { heap, resident: residentBytesOf(pid) };
		// Not at once: what closes it waits for who is connected.
		await evaluated("void setTimeout(() => process.getBuiltinModule('node:inspector').close(), 10)");
		return held;
	} finally {
		socket.close();
		await once(socket, "close");
		await isClosed();
	}
}

/** The next one has its port. */
async function isClosed(): Promise<void> {
	await eventually(async () => {
		await after(10);
		const answers = await fetch(INSPECTOR).then(
			() => true,
			() => false,
		);
		if (answers) throw new Error("the inspector is open yet");
	});
}
