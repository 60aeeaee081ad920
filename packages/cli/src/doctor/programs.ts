import type { Settings } from "@berth/config";
import { type Check, failed, ok, warning } from "./check.js";
import { findProgram, runProgram } from "./program.js";

const RUNTIMES = ["crun", "runc"];
/** The runtime-spec's version, which each of them says. */
const SPEC = /^\s*(?:oci )?specs?: /im;
/** The init of every sandbox; the base image is made with this file. */
const INIT = "/usr/bin/tini-static";
/** The runtime of Python functions; their base image is made of it. */
const PYTHON = "/usr/bin/python3";
/** The shell of custom runtimes; their base image is made of it. */
const SHELL = { "/bin/busybox": "busybox", "/usr/bin/socat": "socat" } as const;
/** What our scripts need: those that make room, and the audit log's, say in their first line that they may run when memory is short. */
const LEAST_REDIS = [7, 0] as const;

/** The programs of the distribution that the stack starts or puts into its images. */
export async function checkPrograms({
	engine,
	ociRuntime,
	runsc,
	embedded,
}: Pick<Settings, "engine" | "ociRuntime" | "runsc" | "embedded">): Promise<readonly Check[]> {
	const redis = embedded.durable || embedded.fast ? [await redisServer()] : [];
	const runtimes = engine === "oci" ? [await runtime(ociRuntime), await gvisor(runsc)] : [];
	return [...runtimes, await init(), await python(), await shell(), ...redis, await utilLinux()];
}

export async function runtime(wanted: string): Promise<Check> {
	const names = wanted === "auto" ? RUNTIMES : [wanted];
	for (const name of names) {
		const path = await findProgram(name);
		if (path === undefined) continue;
		const ran = await runProgram(path, ["--version"]);
		if (!ran.ok) return failed("OCI runtime", `${path} doesn't run: ${ran.reason}.`, "Install it again: apt-get install --reinstall crun");
		if (!SPEC.test(ran.output))
			return failed(
				"OCI runtime",
				`${path} is no OCI runtime: asked for its version, it doesn't say which runtime-spec it follows.`,
				"Set BERTH_OCI_RUNTIME to auto, crun, runc, or the path of one.",
			);
		return ok("OCI runtime", `${path}, version ${/version:? (\S+)/.exec(ran.output)?.[1] ?? "unknown"}.`);
	}
	const mend = wanted === "auto" ? "apt-get install crun" : "Install it, or set BERTH_OCI_RUNTIME to auto, crun, runc or a path.";
	return failed("OCI runtime", `There is no ${names.join(" and no ")}.`, mend);
}

/** What functions with a runtime class of their own are run by; all others go without. */
export async function gvisor(wanted: string): Promise<Check> {
	const refused = "functions with `runtimeClass: runsc` are refused";
	if (wanted === "none") return ok("gVisor", `BERTH_RUNSC is none: ${refused}.`);
	const mend = "Set BERTH_RUNSC to auto, none, or the path of gVisor's runsc.";
	const path = await findProgram(wanted === "auto" ? "runsc" : wanted);
	if (path === undefined)
		return wanted === "auto"
			? ok("gVisor", `There is no runsc: ${refused}. To have them: apt-get install runsc, then start the stack again.`)
			: failed("gVisor", `There is no ${wanted}.`, mend);
	const ran = await runProgram(path, ["--version"]);
	const version = ran.ok ? /^runsc version (?:release-)?(\S+)/m.exec(ran.output)?.[1] : undefined;
	if (version !== undefined) return ok("gVisor", `${path}, version ${version}, for functions with \`runtimeClass: runsc\`.`);
	const found = `${path} ${ran.ok ? "isn't gVisor's runsc" : `doesn't run: ${ran.reason}`}`;
	return wanted === "auto" ? warning("gVisor", `${found}: ${refused}.`, mend) : failed("gVisor", `${found}.`, mend);
}

async function init(): Promise<Check> {
	if ((await findProgram(INIT)) === undefined) return failed("init", `${INIT} is missing.`, "apt-get install tini");
	const ran = await runProgram(INIT, ["--version"]);
	if (!ran.ok) return failed("init", `${INIT} doesn't run: ${ran.reason}.`, "apt-get install --reinstall tini");
	return ok("init", `${INIT}, ${ran.output.trim().replace(/^tini /, "")}.`);
}

async function python(): Promise<Check> {
	if ((await findProgram(PYTHON)) === undefined) return failed("python3", `${PYTHON} is missing.`, "apt-get install python3");
	const ran = await runProgram(PYTHON, ["-I", "-c", "import asyncio, platform; print(platform.python_version())"]);
	if (!ran.ok)
		return failed("python3", `${PYTHON} doesn't run with its standard library: ${ran.reason}.`, "apt-get install --reinstall python3");
	return ok("python3", `${PYTHON}, version ${ran.output.trim()}.`);
}

async function shell(): Promise<Check> {
	for (const [path, name] of Object.entries(SHELL)) {
		if ((await findProgram(path)) === undefined) return failed("shell", `${path} is missing.`, `apt-get install ${name}`);
	}
	return ok("shell", `${Object.keys(SHELL).join(", ")}.`);
}

async function redisServer(): Promise<Check> {
	const path = await findProgram("redis-server");
	if (path === undefined) {
		return failed(
			"redis-server",
			"There is no redis-server.",
			"npm run setup, or name servers of your own: BERTH_DURABLE_REDIS_URL, BERTH_FAST_REDIS_URL",
		);
	}
	const ran = await runProgram(path, ["--version"]);
	if (!ran.ok) return failed("redis-server", `${path} doesn't run: ${ran.reason}.`, "apt-get install --reinstall redis-tools");
	return redisVersion("redis-server", /v=(\S+)/.exec(ran.output)?.[1], path);
}

/** Whether a server's version is recent enough. */
export function redisVersion(name: string, version: string | undefined, where: string): Check {
	const [major = 0, minor = 0] = (version ?? "").split(".").map(Number);
	if (major > LEAST_REDIS[0] || (major === LEAST_REDIS[0] && minor >= LEAST_REDIS[1])) return ok(name, `${where}, version ${version}.`);
	return failed(name, `${where} is version ${version ?? "unknown"}.`, `Redis ${LEAST_REDIS.join(".")} or newer is needed (or Valkey).`);
}

async function utilLinux(): Promise<Check> {
	const needed = ["unshare", "setpriv", "flock", "mount"];
	const found = await Promise.all(needed.map(findProgram));
	const missing = needed.filter((_, index) => found[index] === undefined);
	if (missing.length === 0) return ok("util-linux", `${needed.join(", ")}.`);
	return failed("util-linux", `${missing.join(" and ")} is missing.`, "apt-get install util-linux mount");
}
