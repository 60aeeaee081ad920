import { closeSync, existsSync, openSync, statSync } from "node:fs";
import type { Settings } from "@berth/config";
import { messageOf } from "../system-errors.js";
import { type Check, failed, ok, warning } from "./check.js";

const MKFS = ["/usr/sbin/mkfs.ext4", "/sbin/mkfs.ext4"];
const EVERYBODY_ENTERS = 0o005;

/** Whether functions may have volumes here, and the directories that the operator names. Those without need nothing of it. */
export function checkStorage({ binds }: Pick<Settings, "binds">): readonly Check[] {
	return [checkVolumes(), ...Object.entries(binds).map(([name, path]) => checkBind(name, path))];
}

function checkVolumes(): Check {
	const mend = "apt-get install e2fsprogs; modprobe loop. Functions without volumes need none of it.";
	if (!MKFS.some((path) => existsSync(path))) return warning("volumes", "Functions can't be given volumes: there is no mkfs.ext4.", mend);
	try {
		closeSync(openSync("/dev/loop-control", "r"));
	} catch (error) {
		return warning("volumes", `Functions can't be given volumes: no loop devices (${messageOf(error)}).`, mend);
	}
	return ok("volumes", "Functions can be given volumes.");
}

function checkBind(name: string, path: string): Check {
	const what = `bind ${name}`;
	const stat = statSync(path, { throwIfNoEntry: false });
	if (stat?.isDirectory() !== true)
		return failed(what, `${path} isn't a directory, and the launcher won't start.`, "Mend BERTH_BINDS, or make the directory.");
	if ((stat.mode & EVERYBODY_ENTERS) !== EVERYBODY_ENTERS)
		return warning(what, `${path} can't be read by everybody, so functions can't read it either.`, `chmod o+rx ${path}`);
	return ok(what, `Functions that ask for ${name} have ${path} at /mnt/${name}, read-only.`);
}
