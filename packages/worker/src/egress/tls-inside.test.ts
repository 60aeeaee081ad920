import { spawn } from "node:child_process";
import { once } from "node:events";
import { Agent, createServer as createHttpsServer, type Server as HttpsServer, request } from "node:https";
import { createConnection, createServer, type Server, type Socket } from "node:net";
import { connect, createSecureContext } from "node:tls";
import { DAY_MS, EGRESS_LIMITS } from "@berth/contracts";
import type { Egressing } from "@berth/sandbox";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Authorities } from "./authority.js";
import { authorityCertificate, hostCertificate } from "./certificate.js";
import { Connection } from "./connection.js";
import { firstWords } from "./first-words.js";
import { Outlet } from "./outlet.js";
import { PlainHttp } from "./plain-http.js";
import { serveInTls } from "./tls-inside.js";

const HOST = "service.example";
const SECRET = "Bearer sk_live_0123456789";
const TIMES = { notBefore: new Date(Date.now() - 1000), notAfter: new Date(Date.now() + DAY_MS) };
const PUBLIC = authorityCertificate("an authority", [HOST], TIMES);
const STANDS = new Authorities().of([HOST]);

/** An answer. */
const MUCH = Buffer.alloc(2_000_000);

let outside: HttpsServer;
let proxy: Server;
let http: PlainHttp;
let outlet: Outlet;
/** What is said of the sandbox. */
let said: string[];
/** Authorization that the host was sent, and what spoke with it. */
let heard: (string | undefined)[];
/** Whose turn it is in the sandbox. */
let invocation: string;
/** Bytes that invocations were charged. */
let charged: Record<string, number>;
/** What the host is held against. */
let trusted: string;
const sockets = new Set<Socket>();

beforeEach(async () => {
	[said, heard, trusted] = [[], [], PUBLIC.certificate];
	http = new PlainHttp();
	[invocation, charged] = ["inv_a", {}];
	outlet = new Outlet(async () => ["127.0.0.1"]);
	const spend = outlet.spend.bind(outlet);
	outlet.spend = (by, bytes) => {
		charged[by] = (charged[by] ?? 0) + bytes;
		return spend(by, bytes);
	};
	const { key, certificate } = hostCertificate(HOST, PUBLIC, TIMES);
	outside = createHttpsServer({ key: key.export({ type: "pkcs8", format: "pem" }), cert: certificate }, (asked, answer) => {
		heard.push(asked.headers.authorization);
		const said = asked.url === "/much" ? MUCH : JSON.stringify({ url: asked.url, host: asked.headers.host });
		asked.resume().once("end", () => answer.end(said));
	});
	outside.on("tlsClientError", () => undefined);
	proxy = createServer({ allowHalfOpen: true }, (client) => void serve(client));
	await Promise.all([outside, proxy].map((server) => once(server.listen(0, "127.0.0.1"), "listening")));
});
afterEach(() => {
	http.close();
	outside.closeAllConnections();
	for (const socket of sockets) socket.destroy();
	sockets.clear();
	for (const server of [outside, proxy]) server.close();
});

const portOf = (server: { address(): unknown }) => (server.address() as { port: number }).port;

/** As the proxy does with what a sandbox opens. */
async function serve(client: Socket): Promise<void> {
	sockets.add(client.on("error", () => undefined));
	const from: Egressing = {
		sandbox: "sbx_a",
		project: "default",
		get invocation() {
			return invocation;
		},
		allow: [HOST],
		injections: [],
		gone: new Promise(() => undefined),
		refused: (target, why) => said.push(`refused ${target}: ${why}`),
		failed: (target, why) => said.push(`failed ${target}: ${why}`),
	};
	const port = portOf(outside);
	const connection = new Connection(client, from, outlet, HOST, port);
	await firstWords(client, true);
	const route = {
		host: HOST,
		port,
		injections: [{ host: HOST, port, header: "authorization", value: SECRET }],
		connect: () => connection.openNext(["127.0.0.1"]),
		refuse: (why: string) => connection.refuse(why),
		fail: (error: Error) => connection.fail(error),
	};
	const context = STANDS.contexts.get(HOST)?.();
	if (context === undefined) throw new Error("nothing stands for the host");
	serveInTls(connection, context, route, http, createSecureContext({ ca: trusted }));
}

interface Asked {
	readonly path?: string;
	readonly method?: string;
	readonly headers?: Readonly<Record<string, string>>;
	readonly ca?: string;
	readonly body?: Buffer;
	readonly agent?: Agent;
}

/** What comes of a request like a function's: the answer, or how it ended. */
function ask({ path = "/", method = "GET", headers = {}, ca = STANDS.certificate, body, agent }: Asked = {}): Promise<string> {
	return new Promise((resolve) => {
		const options = { host: "127.0.0.1", port: portOf(proxy), servername: HOST, ca, path, method, agent: agent ?? false };
		const asked = request({ ...options, headers: { host: `${HOST}:${portOf(outside)}`, ...headers } }, async (answer) => {
			let text = "";
			try {
				for await (const chunk of answer) text += chunk;
				resolve(text);
			} catch (error) {
				resolve((error as NodeJS.ErrnoException).code ?? String(error));
			}
		});
		asked.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message)).end(body);
	});
}

test("a request gets the header, in the place of one of its own, and nobody else has to be told", async () => {
	expect(JSON.parse(await ask({ path: "/v1/charges?x=1" }))).toEqual({ url: "/v1/charges?x=1", host: `${HOST}:${portOf(outside)}` });
	await ask({ headers: { Authorization: "Bearer mine" } });
	expect([heard, said]).toEqual([[SECRET, SECRET], []]);
});

test("a host that shows no certificate that is trusted here is sent nothing, and the function is told why", async () => {
	trusted = authorityCertificate("another authority", [HOST], TIMES).certificate;
	expect(await ask()).toMatch(/^ECONNRESET|socket hang up/);
	expect(heard).toEqual([]);
	expect(said).toEqual([expect.stringMatching(/^failed service\.example:\d+: (?:UNABLE_TO|SELF_SIGNED)/)]);
});

test("a function that trusts others than what stands for the host is told that this is so", async () => {
	// One that says so to who is at the other end, as Node's doesn't.
	const where = ["-connect", `127.0.0.1:${portOf(proxy)}`, "-servername", HOST];
	const client = spawn("openssl", ["s_client", "-verify_return_error", "-no-CAfile", "-no-CApath", ...where], { stdio: "ignore" });
	expect(await once(client, "exit")).toEqual([1, null]);
	await expect.poll(() => said).toEqual([expect.stringMatching(/doesn't take the certificate that stands for it here/)]);
	expect(heard).toEqual([]);
});

test("what would have the request said again isn't sent, nor one for another host", async () => {
	await ask({ method: "TRACE" });
	await ask({ headers: { host: "evil.example" } });
	expect(heard).toEqual([]);
	expect(said).toEqual([expect.stringMatching("TRACE"), expect.stringMatching("another host")]);
});

test("only HTTP/1.1 is agreed on, and what is no HTTP inside goes nowhere", async () => {
	const client = connect({
		port: portOf(proxy),
		host: "127.0.0.1",
		servername: HOST,
		ca: STANDS.certificate,
		ALPNProtocols: ["h2", "http/1.1"],
	});
	await once(client, "secureConnect");
	expect(client.alpnProtocol).toBe("http/1.1");
	client.on("error", () => undefined).write("SSH-2.0-x\r\n\r\n");
	await once(client.resume(), "close");
	expect(heard).toEqual([]);
});

test("its bytes count as they go over the wire, and an invocation that has spent all is cut off", async () => {
	outlet.spend("inv_a", EGRESS_LIMITS.bytes - 4096);
	await ask({ headers: { "x-much": "a".repeat(8192) } });
	expect(outlet.isSpent("inv_a")).toBe(true);
	expect([heard, said]).toEqual([[], [expect.stringMatching("1024 MiB")]]);
});

test("an answer counts while it comes: one that is too large is cut off", async () => {
	outlet.spend("inv_a", EGRESS_LIMITS.bytes - MUCH.length / 2);
	expect(["ECONNRESET", "ERR_STREAM_PREMATURE_CLOSE"]).toContain((await ask({ path: "/much" })).slice(0, 100));
	expect(outlet.isSpent("inv_a")).toBe(true);
	expect(said).toEqual([expect.stringMatching("1024 MiB")]);
});

test("each byte is charged once, and to the invocation that was there when it came", async () => {
	const agent = new Agent({ keepAlive: true, maxSockets: 1 });
	expect((await ask({ path: "/much", agent })).length).toBe(MUCH.length);
	await ask({ method: "POST", body: MUCH, agent });
	const both = charged.inv_a ?? 0;
	invocation = "inv_b";
	agent.destroy();
	await expect.poll(() => [...sockets].every((socket) => socket.destroyed)).toBe(true);
	await expect.poll(() => charged.inv_b).toBeGreaterThanOrEqual(0);
	expect(both).toBeGreaterThanOrEqual(2 * MUCH.length);
	expect(both + (charged.inv_b ?? 0)).toBeLessThan(2.1 * MUCH.length);
	expect(charged.inv_b).toBeLessThan(1000);
});

test("a client that goes away in the middle of its handshake leaves nothing open", async () => {
	const client = createConnection(portOf(proxy), "127.0.0.1");
	await once(client, "connect");
	client.write(Buffer.from("160301", "hex"));
	client.resetAndDestroy();
	await expect.poll(() => [...sockets].every((socket) => socket.destroyed)).toBe(true);
});
