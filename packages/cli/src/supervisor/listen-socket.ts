import { lookup } from "node:dns/promises";
import net, { isIPv6 } from "node:net";
import { getSystemErrorName } from "node:util";
import { CommandFailure, EXIT } from "../exit-codes.js";

/** A socket of libuv's, bound and not yet listening. */
interface BoundHandle {
	readonly fd: number;
	getsockname(into: { port?: number }): number;
	close(): void;
}

/**
 * Node's own way to a socket that is bound and accepts nothing here: what `node:cluster` gives its workers. A server of
 * `node:net` would take connections itself from the moment in which it listens.
 */
const { _createServerHandle: bind } = net as unknown as {
	_createServerHandle(address: string, port: number, addressType: 4 | 6, fd: number): BoundHandle | number;
};

/**
 * The socket that gateways listen on, one after another or two at a time. It is open for as long as the stack is: who comes while
 * a gateway is started again waits in the kernel's queue and isn't refused, and what one gateway hadn't accepted the other accepts.
 */
export class ListenSocket {
	readonly #handle: BoundHandle;
	readonly port: number;

	private constructor(handle: BoundHandle, port: number) {
		this.#handle = handle;
		this.port = port;
	}

	/** @param port 0: a free one. @throws CommandFailure when it can't be had */
	static async open(host: string, port: number): Promise<ListenSocket> {
		const { address } = await lookup(host);
		const handle = bind(address, port, isIPv6(address) ? 6 : 4, -1);
		if (typeof handle === "number")
			throw new CommandFailure(EXIT.failed, `${host}:${port} can't be listened on: ${getSystemErrorName(handle)}`);
		const bound: { port?: number } = {};
		handle.getsockname(bound);
		// That somebody else has the port libuv says where it is listened on, and that isn't here.
		if (bound.port !== undefined && bound.port !== 0) return new ListenSocket(handle, bound.port);
		handle.close();
		throw new CommandFailure(EXIT.failed, `something else listens on ${host}:${port}; --port names another port`);
	}

	/** For children to be given. */
	get fd(): number {
		return this.#handle.fd;
	}

	/** Who has it still goes on. Once is enough. */
	close(): void {
		this.#handle.close();
	}
}
