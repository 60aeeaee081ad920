import { readFileSync } from "node:fs";
import { HostError } from "./host-error.js";

/** Where the kernel lists the profiles that are loaded, a `name (mode)` a line. */
const PROFILES = "/sys/kernel/security/apparmor/profiles";

/** @throws HostError unless the kernel has this profile of AppArmor's, and enforces it */
export function requireProfile(name: string, path = PROFILES): void {
	const mode = modes(name, path).get(name);
	if (mode === "enforce") return;
	const found =
		mode === undefined
			? `AppArmor has no profile ${name} loaded`
			: `AppArmor has the profile ${name} in the mode ${mode}, which refuses nothing`;
	throw new HostError(
		`${found}: \`apparmor_parser -r -K\` with its file (ours is infra/apparmor/berth-sandbox), or leave BERTH_APPARMOR_PROFILE out`,
	);
}

function modes(wanted: string, path: string): ReadonlyMap<string, string> {
	try {
		const lines = readFileSync(path, "utf8").matchAll(/^(.+) \((\w+)\)$/gm);
		return new Map([...lines].map(([, name = "", mode = ""]) => [name, mode]));
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
		throw new HostError(
			`BERTH_APPARMOR_PROFILE is ${wanted}, and this kernel has no AppArmor (there is no ${path}): leave it out, or boot a kernel that has it, with securityfs mounted`,
		);
	}
}
