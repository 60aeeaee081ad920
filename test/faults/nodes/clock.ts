import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { Machine } from "../../harness/node-network.js";

const run = promisify(execFile);

/** What stands in the place of `Date` from the first step on. */
const STEPPED = `(byMs) => {
	if (globalThis.Date.stepMs === undefined) {
		const Real = globalThis.Date;
		globalThis.Date = class Date extends Real {
			static stepMs = 0;
			static now() { return Real.now() + Date.stepMs; }
			constructor(...of) { if (of.length === 0) super(Date.now()); else super(...of); }
		};
	}
	globalThis.Date.stepMs = byMs;
	const inspector = process.getBuiltinModule("node:inspector");
	setTimeout(() => inspector.close(), 100);
	return "stepped";
}`;

/** Runs in the machine's network, as a debugger listens on its loopback. */
const ASK = `
const [expression] = process.argv.slice(1);
const until = Date.now() + 5000;
async function targets() {
	for (;;) {
		try { return await (await fetch("http://127.0.0.1:9229/json/list")).json(); }
		catch (error) { if (Date.now() > until) throw error; await new Promise((resolve) => setTimeout(resolve, 25)); }
	}
}
const [{ webSocketDebuggerUrl }] = await targets();
const socket = new WebSocket(webSocketDebuggerUrl);
socket.onopen = () => socket.send(JSON.stringify({ id: 1, method: "Runtime.evaluate", params: { expression } }));
socket.onmessage = ({ data }) => {
	const { id, result } = JSON.parse(data);
	if (id !== 1) return;
	console.log(result.result.value ?? JSON.stringify(result));
	socket.close();
};
socket.onerror = ({ message }) => { console.error(message); process.exit(1); };
`;

/**
 * Steps the clock of one process of Node's by so much from what it really is: everything that says `Date` in there sees it. The kernel's clock can't be stepped
 * for one machine alone (a time namespace has others), so neither the process's timers nor its sandboxes nor any other process see it. It lasts as long as the process.
 */
export async function stepClock({ around }: Machine, pid: number, byMs: number): Promise<void> {
	process.kill(pid, "SIGUSR1");
	const [program = "", ...rest] = [...around, process.execPath, "--input-type=module", "--eval", ASK, `(${STEPPED})(${byMs})`];
	const { stdout } = await run(program, rest, { env: {} });
	if (stdout.trim() !== "stepped") throw new Error(`the clock of ${pid} wasn't stepped: ${stdout}`);
}
