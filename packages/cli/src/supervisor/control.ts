import { once } from "node:events";
import { chmod, rm } from "node:fs/promises";
import { createConnection, createServer, type Server, type Socket } from "node:net";
import { createInterface } from "node:readline";
import type { Settings } from "@berth/config";
import { CommandFailure, EXIT } from "../exit-codes.js";
import { codeOf, messageOf } from "../system-errors.js";

/** A line to a supervisor. */
interface Asked {
	readonly restart: string;
}
/** Its answer, a line. */
interface Answered {
	/** Absent: it is done. */
	readonly failed?: string;
}

/** Where a running supervisor is asked for something: a socket of root's. */
export class Control {
	readonly #server: Server;
	readonly #sockets = new Set<Socket>();

	private constructor(restart: (name: string) => Promise<void>) {
		this.#server = createServer((socket) => {
			this.#sockets.add(socket);
			socket.once("close", () => this.#sockets.delete(socket));
			// Who doesn't wait for the answer has gone.
			socket.on("error", () => socket.destroy());
			createInterface(socket).once("line", (line) => void answer(socket, line, restart));
		});
	}

	/** @param path where an earlier supervisor may have listened. @param restart starts a process of that name again */
	static async open(path: string, restart: (name: string) => Promise<void>): Promise<Control> {
		await rm(path, { force: true });
		const control = new Control(restart);
		await once(control.#server.listen(path), "listening");
		await chmod(path, 0o600);
		return control;
	}

	async close(): Promise<void> {
		for (const socket of this.#sockets) socket.destroy();
		await new Promise((resolve) => this.#server.close(resolve));
	}
}

async function answer(socket: Socket, line: string, restart: (name: string) => Promise<void>): Promise<void> {
	const answered: Answered = await Promise.resolve()
		.then(() => restart((JSON.parse(line) as Asked).restart))
		.then(
			() => ({}),
			(error: unknown) => ({ failed: messageOf(error) }),
		);
	socket.end(`${JSON.stringify(answered)}\n`);
}

/**
 * Has a running supervisor start a process again, and waits until that is done.
 * @throws CommandFailure with what it says, or when there is none
 */
export async function askForRestart({ paths, dataDir }: Pick<Settings, "paths" | "dataDir">, name: string): Promise<void> {
	const socket = createConnection(paths.supervisorSocket);
	try {
		await once(socket, "connect");
		socket.write(`${JSON.stringify({ restart: name } satisfies Asked)}\n`);
		for await (const line of createInterface(socket)) {
			const { failed } = JSON.parse(line) as Answered;
			if (failed !== undefined) throw new CommandFailure(EXIT.failed, failed);
			return;
		}
		throw new CommandFailure(EXIT.failed, `the stack was stopped before ${name} was up again`);
	} catch (error) {
		if (codeOf(error) === "EACCES") throw new CommandFailure(EXIT.failed, "only root may start its processes again: sudo berth restart");
		if (codeOf(error) === "ENOENT" || codeOf(error) === "ECONNREFUSED")
			throw new CommandFailure(
				EXIT.failed,
				`no stack is up in ${dataDir} that could be asked: --data names another directory, \`berth up\` starts one`,
			);
		throw error;
	} finally {
		socket.destroy();
	}
}
