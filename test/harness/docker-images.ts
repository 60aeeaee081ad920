import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { DockerDaemon } from "./docker-engine.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const execute = promisify(execFile);
/** What npm and apt print of a build is much. */
const MUCH = 2 ** 26;
/** This machine's certificates, apart from those that packages in the image put in place. */
const CERTIFICATES = "/etc/ssl/host.crt";
/** Of apt, as in Debian's own images: what it downloads isn't a part of what is made. */
const KEEPS_NOTHING = `DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/*.bin"; };
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
`;
/** Of a registry, as in its own image: for whoever is on its network. */
const REGISTRY = `version: 0.1
storage: { filesystem: { rootdirectory: /var/lib/registry } }
http: { addr: ":5000" }
`;

/** A base image, and those that infra/docker wants beside it, made of Debian's packages: none can be pulled where tests run. */
export async function makeBaseImages(daemon: DockerDaemon): Promise<void> {
	const directory = await mkdtemp(join(tmpdir(), "berth-images-"));
	try {
		const root = join(directory, "root");
		await execute("debootstrap", ["--variant=minbase", "bookworm", root, "http://deb.debian.org/debian"], { maxBuffer: MUCH });
		await writeFile(join(root, "etc/apt/apt.conf.d/clean"), KEEPS_NOTHING);
		await execute("chroot", [root, "apt-get", "clean"]);
		await execute("tar", ["-C", root, "-cf", join(directory, "base.tar"), "."], { maxBuffer: MUCH });
		await daemon.docker("import", join(directory, "base.tar"), "debian:12-slim");
		await build(daemon, "node:24-bookworm-slim", join(directory, "node"), await nodeFiles(join(directory, "node")));
		await build(
			daemon,
			"redis:test",
			join(directory, "redis"),
			"RUN apt-get update && apt-get install -y --no-install-recommends redis-tools && ln -s redis-check-rdb /usr/bin/redis-server && mkdir /data && chown 999:999 /data",
		);
		await build(daemon, "registry:test", join(directory, "registry"), await registryFiles(join(directory, "registry")));
	} finally {
		await rm(directory, { recursive: true });
	}
}

/** Any Node that can build, with npm: ours, and what this machine trusts. */
async function nodeFiles(directory: string): Promise<string> {
	await mkdir(directory);
	await cp(join(ROOT, "node_modules/.bin/node"), join(directory, "node"), { dereference: true });
	await execute("npm", ["install", "--prefix", directory, "--no-save", "npm@11.19.1"], { maxBuffer: MUCH });
	await cp("/etc/ssl/certs/ca-certificates.crt", join(directory, "host.crt"), { dereference: true });
	return [
		"COPY node /usr/local/bin/node",
		"COPY node_modules/npm /usr/local/lib/node_modules/npm",
		"RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm",
		`COPY host.crt ${CERTIFICATES}`,
		`ENV NODE_EXTRA_CA_CERTS=${CERTIFICATES}`,
	].join("\n");
}

async function registryFiles(directory: string): Promise<string> {
	await mkdir(directory);
	await cp(join(ROOT, "node_modules/.berth/docker-registry/usr/bin/docker-registry"), join(directory, "docker-registry"));
	await writeFile(join(directory, "config.yml"), REGISTRY);
	return 'COPY docker-registry /usr/bin/\nCOPY config.yml /etc/\nCMD ["docker-registry", "serve", "/etc/config.yml"]';
}

async function build(daemon: DockerDaemon, tag: string, directory: string, lines: string): Promise<void> {
	await mkdir(directory, { recursive: true });
	await writeFile(join(directory, "Dockerfile"), `FROM debian:12-slim\n${lines}\n`);
	await daemon.docker("build", "-q", "--network", "host", "-t", tag, directory);
}
