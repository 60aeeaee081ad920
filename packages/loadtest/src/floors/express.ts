import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { closedLoop } from "../load/closed-loop.js";
import type { LoadRequest } from "../load/load-target.js";
import type { TransportFloor } from "../report/report.js";

/** Beside the package that Express has its home in; a published loadtest hasn't got it. */
const SERVER = fileURLToPath(new URL("../../../gateway/bench/express-echo.mjs", import.meta.url));

/** A bare Express server in a process of its own under the same generator. @throws Error when it isn't there */
export async function timeExpress(options: {
	connections: number;
	seconds: number;
	signal?: AbortSignal | undefined;
}): Promise<TransportFloor> {
	if (!existsSync(SERVER)) throw new Error(`${SERVER} isn't there`);
	const server = spawn(process.execPath, [SERVER], { stdio: ["pipe", "pipe", "inherit"] });
	try {
		const [line] = (await once(server.stdout, "data")) as [Buffer];
		const { port } = JSON.parse(line.toString()) as { port: number };
		const request: LoadRequest = {
			url: `http://127.0.0.1:${port}/`,
			headers: { "content-type": "application/json" },
			body: '{"name":"bench"}',
		};
		const many = await closedLoop(request, options);
		const one = await closedLoop(request, { ...options, connections: 1 });
		return { p50Ms: one.p50Ms, p99Ms: one.p99Ms, perSecond: many.perSecond };
	} finally {
		const gone = once(server, "exit");
		if (server.kill()) await gone;
	}
}
