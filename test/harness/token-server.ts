import { execFileSync } from "node:child_process";
import { createSign, randomUUID, X509Certificate } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LOGIN } from "./registry.js";

const SERVICE = "registry-of-tests";
const ISSUER = "tests";
const LASTS_S = 300;

/** What gives tokens for a registry (distribution's token specification), to those with the login. Whoever started it stops it. */
export class TokenServer {
	/** What tokens were asked for. */
	readonly scopes: string[] = [];
	readonly #server: Server;
	readonly #directory: string;
	readonly #key: string;
	readonly #certificate: string;

	private constructor(server: Server, directory: string, key: string, certificate: string) {
		this.#server = server;
		this.#directory = directory;
		this.#key = key;
		this.#certificate = certificate;
	}

	static async start(): Promise<TokenServer> {
		const directory = await mkdtemp(join(tmpdir(), "tokens-"));
		const [key, certificate] = [join(directory, "key.pem"), join(directory, "certificate.pem")];
		const subject = ["-subj", "/CN=tests", "-days", "2", "-newkey", "rsa:2048", "-nodes"];
		execFileSync("openssl", ["req", "-x509", ...subject, "-keyout", key, "-out", certificate], { stdio: "pipe" });
		const server = createServer();
		const tokens = new TokenServer(server, directory, await readFile(key, "utf8"), await readFile(certificate, "utf8"));
		server.on("request", (request, response) => {
			const expected = `Basic ${Buffer.from(`${LOGIN.username}:${LOGIN.password}`).toString("base64")}`;
			const scope = new URL(request.url ?? "", "http://tokens").searchParams.get("scope") ?? "";
			const known = request.headers.authorization === expected;
			if (known) tokens.scopes.push(scope);
			response.writeHead(known ? 200 : 401, { "content-type": "application/json" });
			response.end(JSON.stringify(known ? { token: tokens.#token(scope) } : { errors: [] }));
		});
		await once(server.listen(0, "127.0.0.1"), "listening");
		return tokens;
	}

	/** The section of the registry's configuration. */
	get yaml(): string {
		const { port } = this.#server.address() as AddressInfo;
		const bundle = join(this.#directory, "certificate.pem");
		return `auth: { token: { realm: "http://127.0.0.1:${port}/token", service: ${SERVICE}, issuer: ${ISSUER}, rootcertbundle: ${bundle} } }`;
	}

	async stop(): Promise<void> {
		this.#server.closeAllConnections();
		this.#server.close();
		await rm(this.#directory, { recursive: true, force: true });
	}

	#token(scope: string): string {
		const [type, name, actions] = scope.split(":");
		const now = Math.floor(Date.now() / 1000);
		const header = { typ: "JWT", alg: "RS256", x5c: [new X509Certificate(this.#certificate).raw.toString("base64")] };
		const claims = {
			iss: ISSUER,
			sub: LOGIN.username,
			aud: SERVICE,
			nbf: now - 5,
			iat: now,
			exp: now + LASTS_S,
			jti: randomUUID(),
			access: name === undefined ? [] : [{ type, name, actions: actions?.split(",") }],
		};
		const signed = [header, claims].map((part) => Buffer.from(JSON.stringify(part)).toString("base64url")).join(".");
		return `${signed}.${createSign("RSA-SHA256").update(signed).sign(this.#key, "base64url")}`;
	}
}
