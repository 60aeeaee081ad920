import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import type { InvokeHead, SpecialiseHead } from "@berth/contracts/agent";
import { compactHeap } from "../node/compact.js";
import { exchange } from "./exchange.js";

const ROUNDS = 3;
const SOCKET = "/tmp/berth-warm.sock";
const LOADED: SpecialiseHead = { entry: "", project: "", function: "", version: 0, env: {}, scratch: "keep" };
const HEAD: InvokeHead = { id: "", attempt: 1, timeoutMs: 1, trigger: { kind: "event" }, maxBodyBytes: 1024, maxHeaderBytes: 0 };

/** What a first invocation would otherwise pay for: a request's way to a program and back, and how one is started. */
export async function warmUp(): Promise<void> {
	const server = createServer((_request, response) => response.end("{}"));
	await once(server.listen(SOCKET), "listening");
	for (let round = 0; round < ROUNDS; round++) await exchange(SOCKET, HEAD, Buffer.from("{}"), LOADED);
	server.close();
	await once(server, "close");
	// There is none of this name: everything on the way to that is gone through.
	await once(spawn("/berth/none", [], { stdio: "ignore" }), "error");
	compactHeap();
}
