import type { Socket } from "node:net";
import koffi from "koffi";

/** linux/in.h, linux/netfilter_ipv4.h: struct sockaddr_in of where a connection was to go before a rule led it here. */
const SOL_IP = 0;
const SO_ORIGINAL_DST = 80;
const SOCKADDR_BYTES = 16;

const cGetsockopt = koffi
	.load("libc.so.6")
	.func("int getsockopt(int fd, int level, int name, _Out_ uint8_t *value, _Inout_ uint32_t *length)");

export interface Target {
	readonly address: string;
	readonly port: number;
}

/** Where a connection that a rule of the launcher's led here was to go; undefined when the kernel doesn't know. */
export function originalTarget(socket: Socket): Target | undefined {
	const fd = (socket as unknown as { readonly _handle?: { readonly fd?: number } | null })._handle?.fd ?? -1;
	const value = Buffer.alloc(SOCKADDR_BYTES);
	if (fd < 0 || cGetsockopt(fd, SOL_IP, SO_ORIGINAL_DST, value, [SOCKADDR_BYTES]) !== 0) return undefined;
	return { address: value.subarray(4, 8).join("."), port: value.readUInt16BE(2) };
}
