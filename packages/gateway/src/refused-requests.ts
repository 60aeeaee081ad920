import { type ServerResponse, STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import { type ErrorCode, problemOf, SECOND_MS } from "@berth/contracts";

/** How long who was refused may take to read why, milliseconds. */
const LINGER_MS = SECOND_MS;
const MALFORMED = ["invalid_request", "this isn't HTTP/1.1 as RFC 9112 has it"] as const;

/** A request that its application isn't given, or hasn't answered: a problem, and the end of its connection. */
export function refuse(response: ServerResponse, code: ErrorCode, detail: string): void {
	const problem = problemOf(code, detail);
	const retry = problem.status === 503 ? { "retry-after": "1" } : {};
	const body = JSON.stringify(problem);
	const head = { "content-type": "application/problem+json", "content-length": Buffer.byteLength(body), connection: "close", ...retry };
	response.writeHead(problem.status, head).end(body);
}

/** What never became a request is refused on its socket. @param codes by the parser's own */
export function refuseMalformed(
	error: NodeJS.ErrnoException,
	socket: Duplex & { readonly _httpMessage?: { readonly headersSent: boolean } | null },
	codes: Readonly<Record<string, readonly [ErrorCode, string]>>,
): void {
	if (error.code === "ECONNRESET" || !socket.writable || socket._httpMessage?.headersSent === true) socket.destroy();
	else refuseOn(socket, ...(codes[error.code ?? ""] ?? MALFORMED));
}

/** One connection more than there may be. */
export function refuseConnection(socket: Duplex, detail: string): void {
	socket.on("error", () => socket.destroy());
	refuseOn(socket, "unavailable", detail);
}

/** CONNECT: its connection isn't the server's any more. */
export function refuseTunnel(socket: Duplex): void {
	socket.on("error", () => socket.destroy());
	refuseOn(socket, "method_not_allowed", "CONNECT asks for a tunnel, and this is no proxy");
}

function refuseOn(socket: Duplex, code: ErrorCode, detail: string): void {
	const problem = problemOf(code, detail);
	const body = JSON.stringify(problem);
	const head = [
		`HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}`,
		"content-type: application/problem+json",
		`content-length: ${Buffer.byteLength(body)}`,
		"connection: close",
		...(problem.status === 503 ? ["retry-after: 1"] : []),
	];
	socket.end(`${head.join("\r\n")}\r\n\r\n${body}`);
	setTimeout(() => socket.destroy(), LINGER_MS).unref();
}
