import type { RequestOptions } from "node:http";
import { MACHINE_SIGNATURE_HEADER, signedText } from "@berth/contracts";
import type { Vault } from "@berth/registry";

/** Where a gateway takes what functions ask of each other: on this machine's socket, or at another machine's address. */
export type GatewayWay = Pick<RequestOptions, "socketPath" | "host" | "port">;

export interface GatewayWaysOptions {
	/** This machine's own gateway's; absent: it has none. */
	readonly socketPath?: string;
	/** `host:port` of those of other machines that are known now, the likeliest to answer first. */
	readonly others: () => readonly string[];
	readonly vault: Pick<Vault, "sign">;
}

export interface Ways {
	/** The likeliest first; none: no gateway is known. */
	all(): readonly GatewayWay[];
	/** What says that it comes from a machine of this stack: a header with its value. @param head who asks whom */
	signature(method: string, path: string, head: string): readonly [string, string];
}

/** The ways to a gateway: this machine's own, or those of others. */
export class GatewayWays implements Ways {
	readonly #options: GatewayWaysOptions;

	constructor(options: GatewayWaysOptions) {
		this.#options = options;
	}

	all(): readonly GatewayWay[] {
		const { socketPath, others } = this.#options;
		return socketPath === undefined ? others().map(wayTo) : [{ socketPath }];
	}

	signature(method: string, path: string, head: string): readonly [string, string] {
		return [MACHINE_SIGNATURE_HEADER, this.#options.vault.sign(signedText(method, path, head))];
	}
}

function wayTo(address: string): GatewayWay {
	const { hostname, port } = new URL(`http://${address}`);
	return { host: hostname.replace(/^\[|\]$/g, ""), port: port === "" ? 80 : Number(port) };
}

/** Whether nothing of a request has got anywhere: another gateway may be asked the same. */
export function isUnreached(error: unknown): boolean {
	const { code, syscall } = error as NodeJS.ErrnoException;
	return syscall === "connect" || syscall === "getaddrinfo" || code === "ECONNREFUSED";
}
