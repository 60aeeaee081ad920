import { closeSync, existsSync, openSync, realpathSync, statSync } from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import type { Settings } from "@berth/config";
import { messageOf } from "../system-errors.js";
import { type Check, failed, ok, warning } from "./check.js";

const MKFS = ["/usr/sbin/mkfs.ext4", "/sbin/mkfs.ext4"];
const EVERYBODY_ENTERS = 0o005;

/** Whether functions may have volumes here, and the directories that the operator names. Those without need nothing of it. */
export function checkStorage(settings: Pick<Settings, "binds" | "dataDir">): readonly Check[] {
	return [checkVolumes(), ...checkBinds(settings)];
}

/** What the launcher would refuse fails. */
export function checkBinds({ binds, dataDir }: Pick<Settings, "binds" | "dataDir">): readonly Check[] {
	return Object.entries(binds).map(([name, path]) => checkBind(name, path, dataDir));
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

function checkBind(name: string, path: string, dataDir: string): Check {
	const what = `bind ${name}`;
	const refused = (why: string) =>
		failed(what, `BERTH_BINDS names ${path} as ${name}, ${why}.`, "Mend BERTH_BINDS, or make the directory.");
	const stat = statSync(path, { throwIfNoEntry: false });
	if (stat?.isDirectory() !== true) return refused(stat === undefined ? "which isn't there" : "which is no directory");
	const [real, ours] = [realpathSync(path), realPathOf(dataDir)];
	if (isWithin(real, ours) || isWithin(ours, real))
		return refused(`in which functions would find Berth's data directory, ${dataDir} (or which is in it)`);
	if ((stat.mode & EVERYBODY_ENTERS) !== EVERYBODY_ENTERS)
		return warning(what, `${path} can't be read by everybody, so functions can't read it either.`, `chmod o+rx ${path}`);
	return ok(what, `Functions that ask for ${name} have ${path} at /mnt/${name}, read-only.`);
}

/** Also of what isn't there yet: it will be where its parent is. */
function realPathOf(path: string): string {
	return existsSync(path) || dirname(path) === path ? realpathSync(path) : join(realPathOf(dirname(path)), basename(path));
}

function isWithin(path: string, directory: string): boolean {
	const way = relative(directory, path);
	return way !== ".." && !way.startsWith("../");
}
