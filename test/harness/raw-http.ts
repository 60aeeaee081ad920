import { request as httpRequest, type IncomingHttpHeaders } from "node:http";
import type { Stack } from "./stack.js";

/** A request as it goes over the wire: nothing of its path or headers is tidied up on the way. */
export interface RawRequest {
	readonly method?: string;
	readonly path: string;
	/** In order; a name may come several times. */
	readonly headers?: readonly (readonly [string, string])[];
	readonly body?: string | Uint8Array;
	/** Default: the stack's key; null sends none. */
	readonly key?: string | null;
}

export interface RawResponse {
	readonly status: number;
	readonly headers: IncomingHttpHeaders;
	readonly rawHeaders: readonly string[];
	readonly body: Buffer;
}

/** Sends a request to a stack's gateway. @throws Error when the connection breaks before the answer */
export function send(stack: Pick<Stack, "url" | "key">, request: RawRequest): Promise<RawResponse> {
	const { hostname, port } = new URL(stack.url);
	const key = request.key === undefined ? stack.key : request.key;
	const headers = [...(key === null ? [] : [["authorization", `Bearer ${key}`]]), ...(request.headers ?? [])].flat();
	const withHost = ["host", `${hostname}:${port}`, ...headers];
	const length = request.body === undefined ? [] : ["content-length", String(Buffer.byteLength(request.body))];
	return new Promise((resolve, reject) => {
		const outgoing = httpRequest(
			{ hostname, port, path: request.path, method: request.method ?? "GET", headers: [...withHost, ...length], agent: false },
			(response) => {
				const chunks: Buffer[] = [];
				response.on("data", (chunk: Buffer) => chunks.push(chunk));
				response.on("error", reject);
				response.on("end", () =>
					resolve({
						status: response.statusCode ?? 0,
						headers: response.headers,
						rawHeaders: response.rawHeaders,
						body: Buffer.concat(chunks),
					}),
				);
			},
		);
		outgoing.on("error", reject);
		outgoing.end(request.body);
	});
}

/** Deploys by a request that is made here, whatever is wrong with it. @param body text as it is, anything else as JSON */
export function putFunction(
	stack: Pick<Stack, "url" | "key">,
	name: string,
	body: string | object,
	{ query = "?wait=true", type = "application/json" }: { readonly query?: string; readonly type?: string } = {},
): Promise<RawResponse> {
	const text = typeof body === "string" ? body : JSON.stringify(body);
	return send(stack, { method: "PUT", path: `/v1/functions/${name}${query}`, headers: [["content-type", type]], body: text });
}
