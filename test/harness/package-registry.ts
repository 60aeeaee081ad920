import { createHash } from "node:crypto";
import type { ServerResponse } from "node:http";
import { type TarEntry, tarGz } from "./archives.js";
import { CountingServer } from "./counting-server.js";

/** A package as it is published: package.json's fields, and other files by path. */
export interface Published {
	readonly name: string;
	readonly version: string;
	readonly manifest?: Readonly<Record<string, unknown>>;
	readonly files: Readonly<Record<string, string>>;
}

/** An npm registry that has what a test published in it. */
export class PackageRegistry extends CountingServer {
	readonly #tarballs = new Map<string, Buffer>();
	readonly #records = new Map<string, { readonly versions: Record<string, object> }>();

	static open(): Promise<PackageRegistry> {
		return new PackageRegistry().listen();
	}

	get url(): string {
		return this.origin;
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

	protected override answer(path: string, response: ServerResponse): void {
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
