import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import type { ServerResponse } from "node:http";
import { basename } from "node:path";
import { type ZipEntry, zip } from "./archives.js";
import { CountingServer } from "./counting-server.js";

/** A distribution as it is published; paths are below what pip calls purelib. */
export interface Wheel {
	readonly name: string;
	readonly version: string;
	readonly files: Readonly<Record<string, string | Uint8Array>>;
	/** Lines of METADATA: `Requires-Dist: …`. */
	readonly metadata?: readonly string[];
	/** Python, ABI and platform. */
	readonly tag?: string;
	/** Written as they stand, beside the files. */
	readonly entries?: readonly ZipEntry[];
}

/** An index of Python packages, at `/simple/`, with its files at `/files/`. */
export class PythonIndex extends CountingServer {
	readonly #files = new Map<string, Buffer>();
	readonly #projects = new Map<string, Map<string, string>>();
	/** PEP 503's pages in place of PEP 691's. */
	html = false;
	/** What is said of where files are. */
	filesUrl = (file: string): string => `/files/${file}`;

	static open(): Promise<PythonIndex> {
		return new PythonIndex().listen();
	}

	get url(): string {
		return `${this.origin}/simple`;
	}

	/** @returns `name==version --hash=…` */
	publish(wheel: Wheel): string {
		const { name, version, tag = "py3-none-any" } = wheel;
		return this.put(name, `${name.replace(/-/g, "_")}-${version}-${tag}.whl`, wheelOf(wheel), version);
	}

	/** Any file of a project. */
	put(name: string, file: string, bytes: Buffer, version = ""): string {
		const sha256 = createHash("sha256").update(bytes).digest("hex");
		this.#files.set(file, bytes);
		const project = this.#projects.get(name) ?? new Map<string, string>();
		project.set(file, sha256);
		this.#projects.set(name, project);
		return `${name}==${version} --hash=sha256:${sha256}`;
	}

	/** Other bytes under a hash that stays. */
	replace(file: string, bytes: Buffer): void {
		this.#files.set(file, bytes);
	}

	protected override answer(path: string, response: ServerResponse): void {
		const file = this.#files.get(decodeURIComponent(basename(path)));
		if (path.startsWith("/files/") && file !== undefined) {
			response.writeHead(200, { "content-type": "application/octet-stream" }).end(file);
			return;
		}
		const [, name = ""] = /^\/simple\/([^/]+)\/$/.exec(path) ?? [];
		const project = this.#projects.get(name);
		if (project === undefined) response.writeHead(404).end();
		else if (this.html) response.writeHead(200, { "content-type": "text/html; charset=utf-8" }).end(this.#html(project));
		else response.writeHead(200, { "content-type": "application/vnd.pypi.simple.v1+json" }).end(this.#json(name, project));
	}

	#json(name: string, project: ReadonlyMap<string, string>): string {
		const files = [...project].map(([filename, sha256]) => ({ filename, url: this.filesUrl(filename), hashes: { sha256 } }));
		return JSON.stringify({ meta: { "api-version": "1.0" }, name, files });
	}

	#html(project: ReadonlyMap<string, string>): string {
		const links = [...project].map(([file, sha256]) => `<a class=x href="../..${this.filesUrl(file)}#sha256=${sha256}">${file}</a><br>`);
		return `<!DOCTYPE html><html><body>${links.join("\n")}</body></html>`;
	}
}

/** A wheel's bytes (the packaging specification "Binary distribution format"). */
export function wheelOf({ name, version, files, metadata = [], tag = "py3-none-any", entries = [] }: Wheel): Buffer {
	const info = `${name.replace(/-/g, "_")}-${version}.dist-info`;
	const all: Record<string, string | Uint8Array> = {
		...files,
		[`${info}/METADATA`]: ["Metadata-Version: 2.1", `Name: ${name}`, `Version: ${version}`, ...metadata, ""].join("\n"),
		[`${info}/WHEEL`]: `Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: ${tag}\n`,
	};
	const paths = [...Object.keys(all), ...entries.map(({ path }) => path), `${info}/RECORD`];
	const record = paths.map((path) => `${path},,\n`).join("");
	return zip(...Object.entries({ ...all, [`${info}/RECORD`]: record }).map(([path, body]) => ({ path, body })), ...entries);
}

/** A compiled module of the distribution's Python that sandboxes don't have, and the tag of a wheel with it. */
export function compiledModule(): { readonly file: string; readonly bytes: Buffer; readonly tag: string } {
	const script =
		"import json, sys, sysconfig as s; v = f'cp{sys.version_info[0]}{sys.version_info[1]}'; print(json.dumps({'directory': s.get_path('stdlib') + '/lib-dynload/', 'suffix': s.get_config_var('EXT_SUFFIX'), 'tag': f'{v}-{v}-' + s.get_platform().replace('-', '_').replace('.', '_')}))";
	const { directory, suffix, tag } = JSON.parse(execFileSync("/usr/bin/python3", ["-I", "-c", script], { encoding: "utf8" })) as Record<
		"directory" | "suffix" | "tag",
		string
	>;
	const file = `xxlimited${suffix}`;
	return { file, bytes: readFileSync(`${directory}${file}`), tag };
}
