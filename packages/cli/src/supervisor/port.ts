import { createServer } from "node:net";
import { codeOf, messageOf } from "../system-errors.js";
import type { Obstacle } from "./obstacle.js";

/** What keeps the gateway from listening on an address; undefined when it can. */
export async function listenObstacle(host: string, port: number): Promise<Obstacle | undefined> {
	const server = createServer();
	try {
		await new Promise<void>((resolve, reject) => server.once("error", reject).listen(port, host, resolve));
		return undefined;
	} catch (error) {
		return obstacleOf(error, host, port);
	} finally {
		await new Promise((resolve) => server.close(resolve));
	}
}

function obstacleOf(error: unknown, host: string, port: number): Obstacle {
	switch (codeOf(error)) {
		case "EADDRINUSE":
			return { what: `something else listens on ${host}:${port}`, mend: "--port names another port, --port 0 takes a free one" };
		case "EADDRNOTAVAIL":
			return { what: `this machine has no address ${host}`, mend: "--host names another; 0.0.0.0 is every address it has" };
		case "ENOTFOUND":
			return { what: `there is no address of the name ${host}`, mend: "--host names another" };
		default:
			return { what: `${host}:${port} can't be listened on (${messageOf(error)})`, mend: "--host and --port name another" };
	}
}
