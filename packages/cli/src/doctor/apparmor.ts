import { readFile } from "node:fs/promises";
import { isMissing } from "../system-errors.js";
import { type Check, failed, ok } from "./check.js";

/** What AppArmor's check is called. */
export const APPARMOR = "AppArmor";

const LOAD =
	"Load it as root: apparmor_parser -r -K with its file (ours is infra/apparmor/berth-sandbox); or leave BERTH_APPARMOR_PROFILE out.";

/** Whether sandboxes can have this profile. @param path the profiles that are loaded, a `name (mode)` a line: root's to read */
export async function checkAppArmor(profile: string, path = "/sys/kernel/security/apparmor/profiles"): Promise<Check> {
	let profiles: string;
	try {
		profiles = await readFile(path, "utf8");
	} catch (error) {
		if (!isMissing(error)) throw error;
		return failed(
			APPARMOR,
			`BERTH_APPARMOR_PROFILE is ${profile}, and this kernel has no AppArmor (there is no ${path}).`,
			"Leave it out, or boot a kernel that has it, with securityfs mounted at /sys/kernel/security.",
		);
	}
	const [, , mode] = [...profiles.matchAll(/^(.+) \((\w+)\)$/gm)].find(([, name]) => name === profile) ?? [];
	if (mode === undefined) return failed(APPARMOR, `The profile ${profile} isn't loaded.`, LOAD);
	if (mode !== "enforce") return failed(APPARMOR, `The profile ${profile} is in the mode ${mode}, which refuses nothing.`, LOAD);
	return ok(APPARMOR, `Sandboxes have the profile ${profile}.`);
}
