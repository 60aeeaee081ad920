import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { SECOND_MS, sentinelAddressOf } from "@berth/contracts";

const ANSWER_MS = 3 * SECOND_MS;
const PORT = 6379;

/** A reply as RESP2 has it; an error reply is a value. */
export type Reply = string | number | null | RedisError | readonly Reply[];

/** The server refused a command. */
export class RedisError extends Error {
	override readonly name = "RedisError";
}

/**
 * Sends commands to a Redis server on one connection and gives their replies, in order: enough for looking at its
 * settings. The address is `redis://`, `rediss://`, `redis+sentinel://` or `unix://`.
 * @throws Error when it can't be reached or doesn't answer in 3 s
 */
export async function askRedis(url: string, commands: readonly (readonly string[])[]): Promise<readonly Reply[]> {
	return await askServer(sentinelAddressOf(url) === undefined ? url : await masterOf(url), commands);
}

/** The URL of the server that Sentinels name. @throws Error with what each of them said when none does */
async function masterOf(url: string): Promise<string> {
	const asked = sentinelAddressOf(url);
	const said: string[] = [];
	for (const { host, port } of asked?.sentinels ?? []) {
		const sentinel = `redis://${inUrl(host)}:${port}`;
		try {
			const [reply] = await askServer(sentinel, [["SENTINEL", "GET-MASTER-ADDR-BY-NAME", asked?.name ?? ""]]);
			if (Array.isArray(reply)) {
				const [at, on] = reply.map(String);
				return `redis${asked?.tls ? "s" : ""}://${asked?.login ? `${asked.login}@` : ""}${inUrl(at ?? "")}:${on}/${asked?.db}`;
			}
			said.push(`${sentinel} knows no ${asked?.name}${reply instanceof RedisError ? ` (${reply.message})` : ""}`);
		} catch (error) {
			said.push(`${sentinel}: ${error instanceof Error ? error.message : String(error)}`);
		}
	}
	throw new Error(`no Sentinel leads to it: ${said.join("; ")}`);
}

function inUrl(host: string): string {
	return host.includes(":") ? `[${host}]` : host;
}

async function askServer(url: string, commands: readonly (readonly string[])[]): Promise<readonly Reply[]> {
	const first = [...loginOf(url), ...databaseOf(url)];
	const all = [...first, ...commands];
	const socket = open(url);
	try {
		const replies = await exchange(socket, all);
		for (const reply of replies.slice(0, first.length)) if (reply instanceof RedisError) throw reply;
		return replies.slice(first.length);
	} finally {
		socket.destroy();
	}
}

function open(url: string): Socket {
	if (url.startsWith("unix://")) return connect(decodeURIComponent(new URL(url).pathname));
	const { protocol, hostname, port } = new URL(url);
	const address = { host: hostname.replace(/^\[|\]$/g, ""), port: port === "" ? PORT : Number(port) };
	return protocol === "rediss:" ? connectTls({ ...address, servername: address.host }) : connect(address);
}

function loginOf(url: string): readonly (readonly string[])[] {
	if (url.startsWith("unix://")) return [];
	const { username, password } = new URL(url);
	if (password === "") return [];
	return [["AUTH", ...(username === "" ? [] : [decodeURIComponent(username)]), decodeURIComponent(password)]];
}

/** As the stack's own connections take it: `/2`, or `?db=2`. */
function databaseOf(url: string): readonly (readonly string[])[] {
	const { protocol, pathname, searchParams } = new URL(url);
	const database = searchParams.get("db") ?? (protocol === "unix:" ? "" : pathname.slice(1));
	return database === "" ? [] : [["SELECT", database]];
}

function exchange(socket: Socket, commands: readonly (readonly string[])[]): Promise<readonly Reply[]> {
	return new Promise((resolve, reject) => {
		let received = Buffer.alloc(0);
		socket.setTimeout(ANSWER_MS, () => reject(new Error(`it doesn't answer in ${ANSWER_MS / SECOND_MS} s`)));
		socket.once("error", reject);
		socket.once("close", () => reject(new Error("it closed the connection")));
		socket.on("data", (data: Buffer) => {
			received = Buffer.concat([received, data]);
			const replies = parseReplies(received);
			if (replies.length >= commands.length) resolve(replies);
		});
		socket.write(commands.map(encode).join(""));
	});
}

function encode(command: readonly string[]): string {
	return `*${command.length}\r\n${command.map((part) => `$${Buffer.byteLength(part)}\r\n${part}\r\n`).join("")}`;
}

/** The replies that are complete (RESP2: simple strings, errors, integers, bulk strings, arrays). */
export function parseReplies(bytes: Buffer): readonly Reply[] {
	const replies: Reply[] = [];
	for (let at = 0; at < bytes.length; ) {
		const parsed = parseOne(bytes, at);
		if (parsed === undefined) break;
		replies.push(parsed.reply);
		at = parsed.next;
	}
	return replies;
}

function parseOne(bytes: Buffer, at: number): { readonly reply: Reply; readonly next: number } | undefined {
	const end = bytes.indexOf("\r\n", at);
	if (end < 0) return undefined;
	const line = bytes.toString("utf8", at + 1, end);
	const next = end + 2;
	switch (String.fromCharCode(bytes[at] as number)) {
		case "+":
			return { reply: line, next };
		case "-":
			return { reply: new RedisError(line), next };
		case ":":
			return { reply: Number(line), next };
		case "$":
			return bulk(bytes, next, Number(line));
		case "*":
			return array(bytes, next, Number(line));
		default:
			throw new Error("it doesn't speak the Redis protocol");
	}
}

function bulk(bytes: Buffer, at: number, length: number): { readonly reply: Reply; readonly next: number } | undefined {
	if (length < 0) return { reply: null, next: at };
	if (bytes.length < at + length + 2) return undefined;
	return { reply: bytes.toString("utf8", at, at + length), next: at + length + 2 };
}

function array(bytes: Buffer, from: number, count: number): { readonly reply: Reply; readonly next: number } | undefined {
	const items: Reply[] = [];
	let at = from;
	for (let i = 0; i < count; i++) {
		const item = parseOne(bytes, at);
		if (item === undefined) return undefined;
		items.push(item.reply);
		at = item.next;
	}
	return { reply: items, next: at };
}

/** As it may be shown. */
export function withoutPassword(url: string): string {
	return url.replace(/\/\/[^@/]*@/, "//");
}
