import { execFileSync } from "node:child_process";
import { arch, platform } from "node:os";
import { SetupFailure } from "./failure.mjs";

const NODE_MAJOR = 18;
const NPM_MAJOR = 9;

/** The machine as it is: nothing is changed. */
export const machine = {
	title: "Machine",
	async run() {
		if (platform() !== "linux")
			throw new SetupFailure(`this is ${platform()}`, "Berth needs Linux: namespaces, cgroups and overlay mounts are its sandboxes.");
		if (arch() !== "x64" && arch() !== "arm64") throw new SetupFailure(`this is ${arch()}`, "Berth's runtimes are made for x64 and arm64.");
		const node = process.versions.node;
		if (majorOf(node) < NODE_MAJOR)
			throw new SetupFailure(`this is Node ${node}`, `Any Node from ${NODE_MAJOR} on will do: apt-get install nodejs npm`);
		const npm = npmVersion();
		if (majorOf(npm) < NPM_MAJOR)
			throw new SetupFailure(`this is npm ${npm}`, `Any npm from ${NPM_MAJOR} on will do: npm install --global npm@9`);
		return `Linux ${arch()}, Node ${node}, npm ${npm}`;
	},
};

/** Sandboxes need mounts and cgroups. */
export const root = {
	title: "Privileges",
	async run() {
		if (process.geteuid() !== 0)
			throw new SetupFailure("this isn't root", "Sandboxes need mounts and cgroups: run it as root, or with sudo.");
		return "root";
	},
};

/** npm says its version to the scripts it runs; without it, it is asked. */
function npmVersion() {
	const said = /^npm\/(\S+)/.exec(process.env.npm_config_user_agent ?? "")?.[1];
	if (said !== undefined) return said;
	try {
		return execFileSync("npm", ["--version"], { encoding: "utf8" }).trim();
	} catch (error) {
		throw new SetupFailure(`npm doesn't run: ${error.message}`, "apt-get install npm");
	}
}

function majorOf(version) {
	return Number.parseInt(version, 10);
}
