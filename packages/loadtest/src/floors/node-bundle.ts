import { execFile } from "node:child_process";
import { chmod, copyFile, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";

/** An OCI bundle whose container runs `node -e 0`. Whoever made it disposes of it. */
export interface NodeBundle extends AsyncDisposable {
	readonly directory: string;
	readonly rootfs: string;
}

/** Where the kernel's file systems are mounted in the container. */
const MOUNT_POINTS = ["proc", "dev"];
const NAMESPACES = ["pid", "mount", "ipc", "uts", "network", "cgroup"];

/** Copies this Node and the libraries it is linked with (as ldd names them) into a root file system of their own. */
export async function makeNodeBundle(): Promise<NodeBundle> {
	const directory = await mkdtemp(join(tmpdir(), "berth-bench-"));
	const remove = () => rm(directory, { recursive: true, force: true });
	const rootfs = join(directory, "rootfs");
	try {
		await place(process.execPath, join(rootfs, "node"));
		for (const library of await librariesOf(process.execPath)) await place(library, join(rootfs, library));
		for (const name of MOUNT_POINTS) await mkdir(join(rootfs, name), { recursive: true });
		await writeFile(join(directory, "config.json"), JSON.stringify(containerConfig()));
	} catch (error) {
		await remove();
		throw error;
	}
	return { directory, rootfs, [Symbol.asyncDispose]: remove };
}

async function librariesOf(program: string): Promise<readonly string[]> {
	const { stdout } = await promisify(execFile)("ldd", [program]);
	return [...stdout.matchAll(/(\/\S+) \(0x/g)].map((match) => match[1] as string);
}

async function place(from: string, to: string): Promise<void> {
	await mkdir(dirname(to), { recursive: true });
	await copyFile(from, to);
	await chmod(to, 0o755);
}

/** As little as a container can be (OCI runtime spec 1.0.2): what ours has beyond it counts against us. */
function containerConfig(): object {
	const none: readonly string[] = [];
	return {
		ociVersion: "1.0.2",
		process: {
			terminal: false,
			user: { uid: 0, gid: 0 },
			args: ["/node", "-e", "0"],
			env: ["PATH=/"],
			cwd: "/",
			capabilities: { bounding: none, effective: none, inheritable: none, permitted: none, ambient: none },
			noNewPrivileges: true,
		},
		root: { path: "rootfs", readonly: true },
		hostname: "floor",
		mounts: [
			{ destination: "/proc", type: "proc", source: "proc", options: ["nosuid", "noexec", "nodev"] },
			{ destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "strictatime", "mode=755", "size=64k"] },
		],
		linux: { namespaces: NAMESPACES.map((type) => ({ type })) },
	};
}
