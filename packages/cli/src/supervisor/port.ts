import { createServer } from "node:net";
import { codeOf, messageOf } from "../system-errors.js";

/** Why the gateway can't listen on an address, in a sentence without its full stop; undefined when it can. */
export async function listenObstacle(host: string, port: number): Promise<string | undefined> {
	const server = createServer();
	try {
		await new Promise<void>((resolve, reject) => server.once("error", reject).listen(port, host, resolve));
		return undefined;
	} catch (error) {
		return codeOf(error) === "EADDRINUSE"
			? `something else listens on ${host}:${port}`
			: `${host}:${port} can't be had: ${messageOf(error)}`;
	} finally {
		await new Promise((resolve) => server.close(resolve));
	}
}
