import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type TarEntry, tarGz } from "./archives.js";

/** A package as it is published: package.json's fields, and other files by path. */
export interface Published {
	readonly name: string;
	readonly version: string;
	readonly manifest?: Readonly<Record<string, unknown>>;
	readonly files: Readonly<Record<string, string>>;
}

/** An npm registry on loopback that has what a test published in it, and counts what it was asked for. */
export class PackageRegistry implements AsyncDisposable {
	readonly #server: Server;
	readonly #tarballs = new Map<string, Buffer>();
	readonly #records = new Map<string, { readonly versions: Record<string, object> }>();
	/** Paths, in the order in which they were asked for. */
	readonly asked: string[] = [];
	/** The `Authorization` that it wants, if any; and those that came with requests. */
	wants: string | undefined;
	readonly authorizations: (string | undefined)[] = [];
	/** What answers in the registry's place, for paths that it returns true for. */
	instead: (request: IncomingMessage, response: ServerResponse) => boolean = () => false;

	private constructor() {
		this.#server = createServer((request, response) => this.#serve(request, response));
	}

	static async open(): Promise<PackageRegistry> {
		const registry = new PackageRegistry();
		await new Promise<void>((resolve) => registry.#server.listen(0, "127.0.0.1", resolve));
		return registry;
	}

	get url(): string {
		return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
	}

	publish({ name, version, manifest = {}, files }: Published): void {
		const fields = { name, version, ...manifest };
		const all = { "package.json": JSON.stringify(fields), ...files };
		const tarball = tarGz(...Object.entries(all).map(([path, body]): TarEntry => ({ path: `package/${path}`, body })));
		const path = pathOf(name, version);
		this.#tarballs.set(path, tarball);
		const record = this.#records.get(name) ?? { versions: {} };
		record.versions[version] = { ...fields, dist: { tarball: `${this.url}${path}`, integrity: integrityOf(tarball) } };
		this.#records.set(name, record);
	}

	/** A lock file's entry for a package that was published. */
	locked(name: string, version: string): Readonly<Record<string, unknown>> {
		const path = pathOf(name, version);
		const tarball = this.#tarballs.get(path);
		if (tarball === undefined) throw new Error(`${name}@${version} wasn't published`);
		return { version, resolved: `${this.url}${path}`, integrity: integrityOf(tarball) };
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#server.closeAllConnections();
		await new Promise((resolve) => this.#server.close(resolve));
	}

	#serve(request: IncomingMessage, response: ServerResponse): void {
		const path = request.url ?? "/";
		this.asked.push(`${request.method} ${path}`);
		this.authorizations.push(request.headers.authorization);
		if (this.instead(request, response)) return;
		if (this.wants !== undefined && request.headers.authorization !== this.wants) {
			response.writeHead(401, { "content-type": "application/json" }).end('{"error":"who are you?"}');
			return;
		}
		const record = this.#records.get(decodeURIComponent(path.slice(1)));
		const found =
			this.#tarballs.get(path) ??
			(record === undefined ? undefined : JSON.stringify({ name: decodeURIComponent(path.slice(1)), ...record }));
		response.writeHead(found === undefined ? 404 : 200).end(found);
	}
}

/** A source with a lock file of these packages, ready to be packed. */
export function sourceWith(
	index: string,
	dependencies: Readonly<Record<string, string>>,
	packages: Readonly<Record<string, object>>,
	more: Readonly<Record<string, unknown>> = {},
): TarEntry[] {
	const lock = { lockfileVersion: 3, packages: { "": { dependencies }, ...packages } };
	return [
		{ path: "index.ts", body: index },
		{ path: "package.json", body: JSON.stringify({ name: "made-up", dependencies, ...more }) },
		{ path: "package-lock.json", body: JSON.stringify(lock) },
	];
}

function pathOf(name: string, version: string): string {
	return `/${name}/-/${name.slice(name.lastIndexOf("/") + 1)}-${version}.tgz`;
}

function integrityOf(bytes: Uint8Array): string {
	return `sha512-${createHash("sha512").update(bytes).digest("base64")}`;
}
