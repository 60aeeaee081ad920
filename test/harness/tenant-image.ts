import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { tar } from "./archives.js";

/** As OCI names this machine's processor. */
export const ARCHITECTURE = process.arch === "x64" ? "amd64" : process.arch;

export const sha256 = (bytes: Uint8Array) => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
export const jsonBytes = (value: unknown) => Buffer.from(JSON.stringify(value));

interface Config {
	readonly Entrypoint?: readonly string[] | null;
	readonly Cmd?: readonly string[];
	readonly Env?: readonly string[];
	readonly WorkingDir?: string;
	readonly User?: string;
	readonly Volumes?: Readonly<Record<string, object>>;
}

/** An image's config, as `docker build` writes it: what it starts, and what its layers are once unpacked. */
export function configOf(layers: readonly Buffer[], config: Config, more: object = {}): Buffer {
	const unpacked = layers.map((layer) => (layer[0] === 0x1f ? gunzipSync(layer) : layer));
	return jsonBytes({
		os: "linux",
		architecture: ARCHITECTURE,
		config,
		rootfs: { type: "layers", diff_ids: unpacked.map(sha256) },
		...more,
	});
}

/** An image as an OCI layout in a tar: nothing is checked. */
export function image(layers: readonly Buffer[], config: Config = { Entrypoint: ["/srv/run"] }, more: object = {}): Buffer {
	const configuration = configOf(layers, config, more);
	const manifest = jsonBytes({
		schemaVersion: 2,
		config: { digest: sha256(configuration), size: configuration.length },
		layers: layers.map((layer) => ({ digest: sha256(layer), size: layer.length })),
	});
	const index = jsonBytes({ schemaVersion: 2, manifests: [{ digest: sha256(manifest), size: manifest.length }] });
	const blobs = [configuration, manifest, ...layers].map((bytes) => ({ path: `blobs/${sha256(bytes).replace(":", "/")}`, body: bytes }));
	return tar({ path: "oci-layout", body: '{"imageLayoutVersion":"1.0.0"}' }, { path: "index.json", body: index }, ...blobs);
}

/** The libraries that a program links, and its loader. */
function linkedBy(program: string): readonly string[] {
	const said = execFileSync("/usr/bin/ldd", [program], { encoding: "utf8" });
	return [...said.matchAll(/(\/\S+) \(0x/g)].map(([, path]) => path as string);
}

const PROGRAMS = ["sh", "cat", "ls", "id", "stat", "head", "touch", "readlink", "find", "sort"];

/** BusyBox and socat of this machine's, with the libraries that they link: a small distribution, as whose `run` answers with what `answer` prints. */
export function distribution(answer: string): Buffer {
	const files = [...new Set(["/bin/busybox", "/usr/bin/socat", ...["/bin/busybox", "/usr/bin/socat"].flatMap(linkedBy)])];
	const respond = `#!/bin/sh\nread -r _ path _ || exit 0\nprintf 'HTTP/1.0 200 OK\\r\\ncontent-type: text/plain\\r\\n\\r\\n'\n${answer}\n`;
	return tar(
		...files.map((path) => ({ path: path.slice(1), body: readFileSync(path), mode: 0o6755 })),
		...PROGRAMS.map((name) => ({ path: `bin/${name}`, type: "2", link: "busybox" })),
		{ path: "srv/run", body: '#!/bin/sh\nexec socat UNIX-LISTEN:"$BERTH_SOCKET",fork EXEC:/srv/answer\n', mode: 0o755 },
		{ path: "srv/answer", body: respond, mode: 0o700 },
	);
}
