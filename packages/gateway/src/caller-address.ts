import { isIP } from "node:net";
import type { Request } from "express";
import { plainAddress } from "./hooks/allow-list.js";

/**
 * Where a request comes from: the address of its connection or, when that is a proxy that the operator trusts (`BERTH_TRUSTED_PROXIES`), the
 * right-most address of `X-Forwarded-For` that isn't one. What stands left of it anyone may have written.
 */
export function callerAddress(request: Request): string {
	// As the application's `trust proxy` has it; what a proxy calls no address isn't one.
	const { ip } = request;
	return plainAddress(ip !== undefined && isIP(ip) !== 0 ? ip : (request.socket.remoteAddress ?? "unknown"));
}

/** Whether its connection is from a proxy that the operator trusts. */
export function isProxied({ app, socket }: Request): boolean {
	const trusts = app.get("trust proxy fn") as (address: string | undefined, hop: number) => boolean;
	return trusts(socket.remoteAddress, 0);
}
