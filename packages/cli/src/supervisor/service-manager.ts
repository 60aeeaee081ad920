import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { notifySocket, programEnvironment } from "@berth/config";
import { messageOf } from "../system-errors.js";

/**
 * systemd, where it has started this process as a service with `Type=notify`. It is told by its own program, as Node has no datagrams on unix
 * sockets: that sends as its parent, which is the service's main process. Without a service manager nothing is done.
 */
export class ServiceManager {
	readonly #say: (text: string) => void;
	readonly #socket: string | undefined;

	/** @param say hears when it can't be told */
	constructor(say: (text: string) => void, socket = notifySocket()) {
		this.#say = say;
		this.#socket = socket;
	}

	/** @param args of systemd-notify(1) @returns when systemd has it */
	async tell(...args: readonly string[]): Promise<void> {
		if (this.#socket === undefined) return;
		try {
			await promisify(execFile)("systemd-notify", [...args], { env: { ...programEnvironment(), NOTIFY_SOCKET: this.#socket } });
		} catch (error) {
			this.#say(`systemd isn't told (systemd-notify ${args.join(" ")}): ${messageOf(error)}`);
		}
	}
}
